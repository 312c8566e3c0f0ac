// "Draw for this phrase": Annotate with its pencil in hand; the box that comes gets the phrase.

import { annotating, modal, notify } from "./fiftyone.js";
import { relabel } from "./verdicts.js";

const SAVED_MS = 800; // FiftyOne takes the reply of its save first
let wanted = null;

async function found(selector) {
  for (let tries = 0; tries < 50; tries++) {
    const node = modal() && modal().querySelector(selector);
    if (node) return node;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("Annotate's tools do not appear; choose Annotate by hand");
}

export async function drawFor(index) {
  wanted = index;
  if (!annotating()) (await found('[data-cy="annotate"]')).click();
  (await found('[data-cy="detection-mode"]')).click();
  notify(`draw a box for phrase ${index + 1}`, "info");
}

// True where the drawn box has its phrase already, or will have it in a moment.
export function takeDrawn(labelId, failed) {
  if (wanted === null) return false;
  const index = wanted;
  wanted = null;
  setTimeout(() => relabel(index, labelId).catch(failed), SAVED_MS);
  return true;
}
