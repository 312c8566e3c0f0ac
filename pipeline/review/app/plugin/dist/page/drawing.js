// "Draw for this phrase": Annotate with its pencil in hand; the box that comes gets the phrase.

import { annotating, builtIn, modal, notify, python, refresh } from "./fiftyone.js";

// FiftyOne sends a drawn box twice, the second time after its next save: what comes between is lost.
const SAVED_MS = 4500;
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

// True where the drawn box will have its phrase in a moment.
export function takeDrawn({ sampleId, labelId }, failed) {
  if (wanted === null) return false;
  const phrase = String(wanted);
  wanted = null;
  const give = async () => {
    const answer = await python("relabel_phrase", {
      sample_id: sampleId,
      label_ids: [labelId],
      phrase,
    });
    if (answer.refused) throw new Error(answer.refused);
    await refresh(sampleId, answer, answer.last_modified_at);
    builtIn("reload_samples");
  };
  setTimeout(() => give().catch(failed), SAVED_MS);
  return true;
}
