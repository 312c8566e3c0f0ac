// How far the review is, in the strip: asked for when an image opens, not at every click.

import { python } from "./fiftyone.js";

const AGAIN_MS = 15000;
export const progress = { sentence: "" };
let asked = 0;

export function askProgress() {
  if (Date.now() - asked < AGAIN_MS) return;
  asked = Date.now();
  python("read_progress", {}).then(
    (answer) => (progress.sentence = answer.sentence || ""),
    () => (progress.sentence = "")
  );
}

export function askSoon() {
  asked = 0;
}
