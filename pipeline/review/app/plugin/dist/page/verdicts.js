// Accept, reject, give to a phrase: what the reviewer means, then one call of the server.
// A verdict goes to Annotate's box, else to the selected boxes of the open image, else, after a
// question with the number, to the boxes that are drawn. Nothing else is ever named.

import { ask } from "./dialog.js";
import { builtIn, notify, python, refresh } from "./fiftyone.js";
import { status } from "./saves.js";
import { lookAt } from "./turns.js";

const SEEN = ["review", "label", "phrase_index"];

export function scopeOf(page) {
  if (page.annotated) return { ids: [page.annotated], how: "edited" };
  if (page.selected.length) return { ids: page.selected, how: "selected" };
  if (page.visible === null) return { ids: [], how: "none" };
  return { ids: page.visible, how: "visible" };
}

async function chosen(page, verb) {
  const scope = scopeOf(page);
  if (scope.how !== "visible") return scope.ids;
  const pending = page.labels
    .filter((label) => scope.ids.includes(label._id) && (label.review || "pending") === "pending")
    .map((label) => label._id);
  const ids = pending.length ? pending : scope.ids;
  if (ids.length < 2) return ids;
  const which = pending.length ? `${ids.length} visible pending boxes` : `all ${ids.length} visible boxes, which are judged already`;
  return (await ask(`${verb} ${which}?`, `${verb} ${ids.length}`)) ? ids : null;
}

function seenOf(page, ids) {
  const seen = {};
  for (const label of page.labels)
    if (ids.includes(label._id))
      seen[label._id] = Object.fromEntries(SEEN.map((key) => [key, label[key] ?? null]));
  return seen;
}

async function send(operator, page, ids, params, done) {
  // At once: a box that is clicked while the server works is chosen for the next key.
  builtIn("clear_selected_labels");
  const answer = await python(operator, {
    sample_id: page.sampleId,
    label_ids: ids,
    seen: seenOf(page, ids),
    ...params,
  });
  if (answer.labels) await refresh(page.sampleId, answer, answer.last_modified_at);
  builtIn("reload_samples");
  if (answer.refused) notify(answer.refused, "error");
  else notify(done(answer.changed), "success");
  return answer;
}

export async function judge(image, verb, operator, word) {
  const page = await lookAt(image);
  if (!page) return notify("open an image first", "warning");
  const ids = await chosen(page, verb);
  if (ids === null) return;
  if (!ids.length) return notify("no box is selected or visible", "warning");
  if (status.saving) return notify("an edit is being saved; once more, please", "warning");
  return send(operator, page, ids, {}, (count) => `${word}: ${count} box${count === 1 ? "" : "es"}`);
}

// Give boxes to a phrase of the caption; only boxes that are edited or selected, never all.
export async function relabel(image, index, labelId) {
  const page = await lookAt(image);
  if (!page) return false;
  const scope = labelId ? { ids: [labelId], how: "drawn" } : scopeOf(page);
  if (scope.how === "visible" || !scope.ids.length) return false;
  await send(
    "relabel_phrase",
    page,
    scope.ids,
    { phrase: String(index) },
    (count) => `${count} box${count === 1 ? "" : "es"} given to phrase ${index + 1}`
  );
  return true;
}
