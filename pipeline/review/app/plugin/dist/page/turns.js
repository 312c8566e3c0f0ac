// Actions of the reviewer, one at a time: a key pressed while the one before is still on its way
// waits for it, so that it acts on what the page then shows. Each belongs to the image that was
// open as it was pressed: where another is open by then, nothing is done and that is said.

import { closeQuestion } from "./dialog.js";
import { annotating, look, modal, notify } from "./fiftyone.js";

const LOADED_MS = 5000;
let last = Promise.resolve();
let waiting = 0;

// By the address, else (a view of groups) as the strip says.
export const openImage = () => {
  const strip = document.getElementById("glipforge-strip");
  const inStrip = modal() && strip ? strip.dataset.sample : null;
  return new URLSearchParams(location.search).get("id") || inStrip || null;
};
export const isIdle = () => !waiting;

// `action(image)`: `image` is the id of the open image, null in the grid.
export function inTurn(action) {
  closeQuestion();
  const image = openImage();
  waiting += 1;
  last = last
    .then(() => {
      check(image);
      return action(image);
    })
    .catch((error) => notify(`nothing was changed: ${error.message}`, "error"))
    .finally(() => (waiting -= 1));
  return last;
}

function check(image) {
  if (openImage() !== image) throw new Error("another image was opened meanwhile; once more, please");
}

// What the reviewer sees of the image, as soon as it is loaded and drawn; null in the grid.
export async function lookAt(image) {
  if (!image) return null;
  const end = Date.now() + LOADED_MS;
  for (;;) {
    const page = await look();
    check(image);
    const isThere = page && page.sampleId === image;
    if (isThere && isDrawn(page)) return page;
    if (Date.now() > end) {
      if (isThere) return page;
      throw new Error("the image is still loading; once more, please");
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function isDrawn(page) {
  if (annotating()) return true;
  const state = page.visible && page.looker.state;
  return !!state && state.loaded !== false && state.overlaysPrepared !== false;
}
