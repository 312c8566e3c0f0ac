// Actions of the reviewer, one at a time: a key pressed while the one before is still on its way
// waits for it, so that it acts on what the page then shows. Each belongs to the image that was
// open as it was pressed: where another is open by then, nothing is done and that is said. Only a
// key that writes nothing (`n`) goes along to the image that the keys before it led to.

import { closeQuestion } from "./dialog.js";
import { annotating, look, modal, notify } from "./fiftyone.js";

const LOADED_MS = 5000;
const OPENED_MS = 10000;
let last = Promise.resolve();
let waiting = 0;
const moves = []; // [image, the image that a key opened from it], since the page was idle

// By the address, else (a view of groups) as the strip says.
export const openImage = () => {
  const strip = document.getElementById("glipforge-strip");
  const inStrip = modal() && strip ? strip.dataset.sample : null;
  return new URLSearchParams(location.search).get("id") || inStrip || null;
};
export const isIdle = () => !waiting;

// `action(image)`: `image` is the id of the open image, null in the grid. `along`: go along with keys
// that open other images meanwhile.
export function inTurn(action, { along = false } = {}) {
  closeQuestion();
  const pressed = { image: openImage(), moves: moves.length };
  waiting += 1;
  last = last
    .then(() => {
      let { image } = pressed;
      if (along)
        for (const [from, to] of moves.slice(pressed.moves)) if (from === image) image = to;
      check(image);
      return action(image);
    })
    .catch((error) => notify(`nothing was changed: ${error.message}`, "error"))
    .finally(() => {
      waiting -= 1;
      if (!waiting) moves.length = 0;
    });
  return last;
}

// Runs `go`, which opens another image, and waits until that is there; false where none comes.
export async function moveFrom(image, go) {
  go();
  const end = Date.now() + OPENED_MS;
  while (openImage() === image) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const opened = openImage();
  moves.push([image, opened]);
  // The key after this one finds it loaded; where it does not load, that key says so.
  await lookAt(opened).catch(() => null);
  return true;
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
