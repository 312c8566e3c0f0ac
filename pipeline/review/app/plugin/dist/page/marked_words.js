// Words of the caption that the reviewer marked with the mouse become a phrase.

import { builtIn, notify, python, refresh } from "./fiftyone.js";
import { lookAt } from "./turns.js";
import { scopeOf } from "./verdicts.js";

// [start, end) in characters of the caption; null where nothing is marked.
export function marked() {
  const caption = document.querySelector("#glipforge-strip .caption");
  const selection = window.getSelection();
  if (!caption || !selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!caption.contains(range.startContainer) || !caption.contains(range.endContainer)) return null;
  const [start, end] = [
    offset(caption, range.startContainer, range.startOffset),
    offset(caption, range.endContainer, range.endOffset),
  ];
  return start < end ? [start, end] : null;
}

function offset(caption, node, within) {
  const before = document.createRange();
  before.setStart(caption, 0);
  before.setEnd(node, within);
  const copy = before.cloneContents();
  for (const mark of copy.querySelectorAll("sub,.pencil")) mark.remove();
  return Array.from(copy.textContent).length;
}

export async function phraseOfMarked(image) {
  const span = marked();
  if (!span) return notify("mark words of the caption above the image first", "warning");
  const page = await lookAt(image);
  if (!page) return;
  const scope = scopeOf(page);
  const ids = scope.how === "visible" ? [] : scope.ids;
  builtIn("clear_selected_labels");
  const answer = await python("new_phrase", {
    sample_id: page.sampleId,
    start: span[0],
    end: span[1],
    label_ids: ids,
  });
  window.getSelection().removeAllRanges();
  if (answer.labels) await refresh(page.sampleId, answer, answer.last_modified_at);
  if (answer.refused) notify(answer.refused, "error");
  else notify(`new phrase with ${ids.length} box${ids.length === 1 ? "" : "es"}`, "success");
}
