// The bar at the foot: the box under the pointer in words (phrase, verdict, score, why the queue
// suspects it), else how far the review is; in the grid what shows. It never changes the place of
// anything.

import { gridSentence } from "./level.js";
import { progress } from "./progress.js";

export const describe = (label) =>
  [
    label.label || "no phrase yet",
    label.review || "pending",
    typeof label.confidence === "number" ? `score ${label.confidence.toFixed(2)}` : "drawn",
    typeof label.stability === "number" ? `found again ${label.stability.toFixed(2)}` : "",
    typeof label.queue_score === "number" ? `suspicion ${label.queue_score.toFixed(2)}` : "",
    ...(label.queue_reasons || []),
    label.audit ? "drawn for the audit" : "",
    label.reviewer ? `by ${label.reviewer}` : "",
  ]
    .filter(Boolean)
    .join(" \u00b7 ");

// `page` gives what was seen last: the labels, and FiftyOne's looker.
export function watchHover(page) {
  const node = document.createElement("div");
  node.id = "glipforge-hover";
  node.style.display = "none";
  document.body.appendChild(node);
  setInterval(() => {
    const seen = page();
    const overlay = seen && seen.looker && (seen.looker.currentOverlays || [])[0];
    const id = overlay && overlay.label && (overlay.label.id || overlay.label._id);
    const label = id && seen.labels.find((one) => one._id === id);
    const text = label ? describe(label) : seen ? progress.sentence : gridSentence();
    if (node.textContent !== text) node.textContent = text;
    node.style.display = text ? "block" : "none";
  }, 150);
}
