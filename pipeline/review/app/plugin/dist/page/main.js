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
import { judge, relabel } from "./verdicts.js";

const accept = () => run(judge("Accept", "accept_labels", "accepted"));
const reject = () => run(judge("Reject", "reject_labels", "rejected"));

const run = (promise) =>
  promise.catch((error) => notify(`nothing was changed: ${error.message}`, "error"));

async function phrase(index) {
  const page = await look();
  const count = page ? (page.sample.phrases || []).length : 0;
  if (index >= count) return notify(`this caption has ${count} phrases, not ${index + 1}`, "warning");
  const labelId = waiting.labelId;
  if (labelId) {
    await relabel(index, labelId);
    stopWaiting();
    return;
  }
  if (!(await relabel(index))) await showPhrase(index);
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
    onPhrase: (index) => run(phrase(index)),
    onDraw: (index) => run(drawFor(index)),
    onFailure: (error) => notify(`the drawn box has no phrase yet: ${error.message}`, "error"),
    buttons: [
      ["accept", "✓ Accept (a)", accept],
      ["reject", "✗ Reject (r)", reject],
      ["undo", "Undo (u)", () => run(undo())],
      ["done", "Done, next (d)", () => run(judgeImage("done", true))],
      ["bad", "Bad… (b)", () => run(judgeImage("bad", true))],
      ["missing", "Missing… (m)", () => run(judgeImage("missing", false))],
      ["phrase", "New phrase (p)", () => run(phraseOfMarked())],
      ["help", "Keys (?)", help],
    ],
  });
  const keys = {
    a: accept,
    r: reject,
    u: () => run(undo()),
    d: () => run(judgeImage("done", true)),
    b: () => run(judgeImage("bad", true)),
    m: () => run(judgeImage("missing", false)),
    n: next,
    k: () => run(toggleLevel()),
    p: () => run(phraseOfMarked()),
    v: () => toggleColors(settings.colors),
    0: () => run(showPhrase(null)),
    "?": help,
  };
  for (let number = 1; number <= 9; number++) keys[String(number)] = () => run(phrase(number - 1));
  listen(keys, { k: keys.k });
  setInterval(() => keepGrid().catch((error) => console.warn("glipforge review:", error)), 500);
  window.__glipforge__ = { ready: true };
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
    const id = new URLSearchParams(location.search).get("id");
    if (id === open) return;
    open = id;
    const page = await look().catch(() => null);
    if (page && page.strays) builtIn("clear_selected_labels");
  }, 200);
}
