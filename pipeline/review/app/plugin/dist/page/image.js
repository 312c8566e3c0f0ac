// Verdicts on the whole image, the last click taken back, and the way to the next image.

import { askText } from "./dialog.js";
import { builtIn, notify, python, refresh } from "./fiftyone.js";
import { askSoon } from "./progress.js";
import { lookAt, moveFrom } from "./turns.js";

export async function next(image) {
  const button = document.querySelector('[data-cy="nav-right-button"]');
  if (!button) {
    const why = "this is the last of the view, or it was not opened from the grid";
    notify(`no next image: ${why}; open one from there to go on`, "info");
    return;
  }
  const click = () => button.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  if (!(await moveFrom(image, click))) notify("the next image does not open; once more, please", "warning");
}

async function put(page, answer) {
  if (answer.labels) await refresh(page.sampleId, answer, answer.last_modified_at);
  builtIn("reload_samples");
  askSoon();
}

export async function judgeImage(image, word, thenNext) {
  const page = await lookAt(image);
  if (!page) return;
  let reason = "";
  if (word === "bad" || word === "missing") {
    const question = word === "bad" ? "Why is this image bad?" : "What is missing?";
    reason = await askText(question);
    if (reason === null) return;
  }
  const answer = await python("judge_image", { sample_id: page.sampleId, word, reason });
  if (answer.refused) {
    notify(answer.refused, "error");
    return;
  }
  await put(page, answer);
  notify(`image: ${word}`, "success");
  if (thenNext) await next(image);
}

export async function undo(image) {
  const page = await lookAt(image);
  const answer = await python("undo_last", page ? { sample_id: page.sampleId } : {});
  if (page) await put(page, answer);
  if (answer.refused) notify(answer.refused, "error");
  else notify(`taken back: ${answer.action}`, "success");
}
