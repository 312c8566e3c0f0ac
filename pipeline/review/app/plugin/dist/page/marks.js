// Colours by verdict in place of colours by phrase, for as long as the reviewer wants them. The
// verdict's word beside each label is set in index.umd.js.

import { BOXES, builtIn } from "./fiftyone.js";

const COLORS = { pending: "#ffb300", accepted: "#00c853", rejected: "#ff1744", fixed: "#2979ff" };
let byVerdict = false;

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
