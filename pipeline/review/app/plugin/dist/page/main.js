// Start of the review page.

import { builtIn, checkGlobals, look, notify, registerPageJob } from "./fiftyone.js";
import { help } from "./dialog.js";
import { drawFor } from "./drawing.js";
import { judgeImage, next, undo } from "./image.js";
import { listen } from "./keys.js";
import { keepGrid, toggleLevel, watchSideBar } from "./level.js";
import { phraseOfMarked } from "./marked_words.js";
import { toggleColors } from "./marks.js";
import { showPhrase } from "./phrase_filter.js";
import { status, wrapFetch } from "./saves.js";
import { showStrip, stopWaiting, waiting } from "./strip.js";
import { inTurn, isIdle, lookAt, openImage } from "./turns.js";
import { judge, relabel } from "./verdicts.js";

const accept = () => inTurn((image) => judge(image, "Accept", "accept_labels", "accepted"));
const reject = () => inTurn((image) => judge(image, "Reject", "reject_labels", "rejected"));
const judgeAs = (word, thenNext) => inTurn((image) => judgeImage(image, word, thenNext));

async function phrase(image, index) {
  const page = await lookAt(image);
  const count = page ? (page.sample.phrases || []).length : 0;
  if (index >= count) return notify(`this caption has ${count} phrases, not ${index + 1}`, "warning");
  const labelId = waiting.labelId;
  if (labelId) {
    await relabel(image, index, labelId);
    stopWaiting();
    return;
  }
  if (!(await relabel(image, index))) await showPhrase(index);
}

export async function start(settings) {
  checkGlobals();
  registerPageJob();
  wrapFetch();
  watchEdits();
  watchSelection();
  watchSideBar();
  showStrip({
    colors: settings.colors,
    onPhrase: (index) => inTurn((image) => phrase(image, index)),
    onDraw: (index) => inTurn(() => drawFor(index)),
    onFailure: (error) => notify(`the drawn box has no phrase yet: ${error.message}`, "error"),
    buttons: [
      ["accept", "✓ Accept (a)", accept],
      ["reject", "✗ Reject (r)", reject],
      ["undo", "Undo (u)", () => inTurn(undo)],
      ["done", "Done, next (d)", () => judgeAs("done", true)],
      ["bad", "Bad… (b)", () => judgeAs("bad", true)],
      ["missing", "Missing… (m)", () => judgeAs("missing", false)],
      ["phrase", "New phrase (p)", () => inTurn(phraseOfMarked)],
      ["help", "Keys (?)", help],
    ],
  });
  const keys = {
    a: accept,
    r: reject,
    u: () => inTurn(undo),
    d: () => judgeAs("done", true),
    b: () => judgeAs("bad", true),
    m: () => judgeAs("missing", false),
    n: () => inTurn(next, { along: true }),
    k: () => inTurn(toggleLevel),
    p: () => inTurn(phraseOfMarked),
    v: () => toggleColors(settings.colors),
    0: () => inTurn(() => showPhrase(null)),
    "?": help,
  };
  for (let number = 1; number <= 9; number++)
    keys[String(number)] = () => inTurn((image) => phrase(image, number - 1));
  listen(keys, { k: keys.k });
  setInterval(() => keepGrid().catch((error) => console.warn("glipforge review:", error)), 500);
  window.__glipforge__ = { ready: true, isIdle };
}

// An edit in Annotate is unsaved until FiftyOne sends it (within 3 s): leaving the page asks.
function watchEdits() {
  const mark = (event) => {
    const inside = event.target && event.target.closest && event.target.closest('[data-cy="modal"]');
    if (!inside || !inside.querySelector('[data-cy="lighter-sample-renderer"]')) return;
    if (event.type === "pointerup" && event.target.tagName !== "CANVAS") return;
    status.unsaved = true;
    status.since = Date.now();
  };
  window.addEventListener("input", mark, true);
  window.addEventListener("pointerup", mark, true);
  // A click on the canvas may have been no edit: after two rounds of FiftyOne's saving it was none.
  setInterval(() => {
    if (status.unsaved && !status.saving && Date.now() - status.since > 7000) status.unsaved = false;
  }, 500);
  window.addEventListener("beforeunload", (event) => {
    if (!status.unsaved && !status.saving) return;
    event.preventDefault();
    event.returnValue = "";
  });
}

// A selection belongs to its image: with another image open it is dropped.
function watchSelection() {
  let open = null;
  setInterval(async () => {
    const id = openImage();
    if (id === open) return;
    open = id;
    const page = await look().catch(() => null);
    if (page && page.strays) builtIn("clear_selected_labels");
  }, 200);
}
