// Verdicts on the boxes: a word beside each label (FiftyOne's own setting), and colours by verdict
// in place of colours by phrase for as long as the reviewer wants them.

import { BOXES, builtIn } from "./fiftyone.js";

const COLORS = { pending: "#ffb300", accepted: "#00c853", rejected: "#ff1744", fixed: "#2979ff" };
let byVerdict = false;

// FiftyOne keeps in the browser, by dataset, which attributes it writes beside a label, and reads
// it once: this runs before.
export function showWords(datasetIds) {
  for (const id of datasetIds) {
    const key = `shownLabelAttributes-${id}`;
    if (!localStorage.getItem(key))
      localStorage.setItem(key, JSON.stringify({ [BOXES]: ["label", "review"] }));
  }
}

export function toggleColors(colors) {
  byVerdict = !byVerdict;
  const values = byVerdict
    ? Object.entries(COLORS).map(([value, color]) => ({ value, color }))
    : Array.from({ length: 60 }, (_, index) => ({
        value: String(index),
        color: colors[index % colors.length],
      }));
  builtIn("set_color_scheme", {
    color_by: "value",
    color_pool: byVerdict ? Object.values(COLORS) : colors,
    fields: [
      {
        path: BOXES,
        colorByAttribute: byVerdict ? "review" : "phrase_index",
        valueColors: values,
      },
    ],
  });
}
