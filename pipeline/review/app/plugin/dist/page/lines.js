// The verdict of each box in its line and a mark at its corner, in the colour of its phrase:
// pending dotted ?, accepted solid a tick, rejected dashed a cross, fixed a double line and a pencil.
// Drawn by FiftyOne's own overlay, whose `strokeRect` is not public: where it is missing, no box
// gets a mark and the page says so once.

import { notify } from "./fiftyone.js";

const DOTS = 3;
const DASHES = 11;
const MARKS = { pending: "?", accepted: "\u2713", rejected: "\u2717", fixed: "\u270e" };
const SIDE = 16;
let patched = null;
let told = false;

export function drawVerdicts(looker) {
  const overlays = (looker && looker.sampleOverlays) || [];
  const overlay = overlays.find((one) => one.label && one.label.bounding_box);
  if (!overlay) return;
  const proto = Object.getPrototypeOf(overlay);
  if (proto === patched) return;
  if (typeof proto.strokeRect !== "function") {
    if (!told) notify("this version of FiftyOne cannot draw verdicts on boxes", "warning");
    told = true;
    return;
  }
  patched = proto;
  const plain = proto.strokeRect;
  proto.strokeRect = function (context, state, color, dashes) {
    const word = this.label && this.label.review;
    // A fourth argument is FiftyOne's mark of a selected box.
    if (dashes || !MARKS[word]) return plain.call(this, context, state, color, dashes);
    const length = { pending: DOTS, rejected: DASHES }[word];
    plain.call(this, context, state, color, length);
    if (state.config && state.config.thumbnail) return;
    context.setLineDash([]);
    mark(context, state, color, word, this.label.bounding_box);
  };
  // FiftyOne draws nothing anew for an empty change, unless something waits for the drawing.
  if (looker.updater) looker.updater({}, () => {});
}

function mark(context, state, color, word, [x, y, width, height]) {
  const [left, top, across, down] = state.canvasBBox;
  const [x0, y0] = [left + x * across, top + y * down];
  const [x1, y1] = [left + (x + width) * across, top + (y + height) * down];
  context.save();
  context.strokeStyle = color;
  context.lineWidth = state.strokeWidth;
  if (word === "rejected") {
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.moveTo(x1, y0);
    context.lineTo(x0, y1);
    context.stroke();
  } else if (word === "fixed") {
    const gap = 2 * state.strokeWidth + 2;
    context.strokeRect(x0 + gap, y0 + gap, x1 - x0 - 2 * gap, y1 - y0 - 2 * gap);
  }
  context.fillStyle = color;
  context.fillRect(x1 - SIDE, y1 - SIDE, SIDE, SIDE);
  context.fillStyle = "#fff";
  context.font = `bold ${SIDE - 3}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(MARKS[word], x1 - SIDE / 2, y1 - SIDE / 2);
  context.restore();
}
