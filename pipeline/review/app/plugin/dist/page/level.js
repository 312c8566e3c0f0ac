// What shows: first what the policy keeps and people judged (level 1), by the slider also the other
// candidates down to a score. In the open image and in the grid it is a side-bar filter of FiftyOne:
// one sees that it is on, and verdicts go to what it shows.

import { BOXES, inPage, look, modal, python } from "./fiftyone.js";

const PATH = `${BOXES}.detections.level`;
const JUST_BELOW = 1e-6;
const SETTLES_MS = 800;
export const level = { least: 1 };
const grid = { dataset: null, view: "", hides: false, least: 0 };

const isHidden = (label, least) => typeof label.level === "number" && label.level < least;

// Called as the strip is drawn: an image that was opened anew has no filter yet.
export function keepLevel(page) {
  const hides = page.labels.some((label) => isHidden(label, level.least));
  const set = (page.filters || {})[PATH];
  // The grid's own filter, which FiftyOne takes over, is of the other form.
  const now = set ? !set.exclude && set.range[0] : 0;
  return now === level.least || (!hides && !set) ? null : apply();
}

export function setLevel(least) {
  level.least = least;
  return apply();
}

export async function toggleLevel() {
  await setLevel(level.least < 1 ? 1 : 0);
  return modal() ? look() : keepGrid();
}

export function shownCount(page) {
  return page.labels.filter((label) => !isHidden(label, level.least)).length;
}

function apply() {
  const range = [level.least, null];
  return inPage((ctx, hooks) => {
    hooks.setModalFilters((filters) => {
      const { [PATH]: _, ...rest } = filters;
      if (!level.least) return rest;
      return {
        ...rest,
        [PATH]: { range, _CLS: "numeric", exclude: false, isMatching: false, none: true },
      };
    });
  });
}

// Called over and over: tells the server once that a dataset is open, and brings the grid to the
// level wherever that or the view changed. What the reviewer sets in the side bar afterwards stays.
let busy = false;
export async function keepGrid() {
  if (busy || !/\/datasets\//.test(location.pathname)) return;
  busy = true;
  try {
    const { dataset, view } = await inPage(gridState);
    if (!dataset) return;
    if (grid.dataset !== dataset) {
      Object.assign(grid, { dataset, hides: false });
      grid.hides = !!(await python("begin", {})).hides;
    }
    if (grid.view !== view) Object.assign(grid, { view, least: 0 }); // FiftyOne drops filters then
    // ... and while it loads a dataset: until they stay.
    for (let tries = 0; tries < 8 && grid.hides && grid.least !== level.least; tries++) {
      if (modal()) return;
      const least = level.least;
      await putInGrid(least);
      await new Promise((resolve) => setTimeout(resolve, SETTLES_MS));
      if ((await inPage(gridState)).filtered === least > 0) grid.least = least;
    }
  } finally {
    busy = false;
  }
}

async function gridState(ctx) {
  const get = (name) => ctx.state.snapshot.getPromise(window.__fos__[name]);
  const [dataset, view, filters] = await Promise.all(["datasetId", "view", "filters"].map(get));
  return { dataset, view: JSON.stringify([dataset, view]), filtered: PATH in (filters || {}) };
}

// Boxes below the level are excluded: an image of which none is left stays in the grid.
function putInGrid(least) {
  return inPage((ctx, hooks) =>
    hooks.setFilters(({ [PATH]: _, ...rest }) => {
      if (!least) return rest;
      const range = [0, least - JUST_BELOW];
      const form = { range, _CLS: "numeric", exclude: true, isMatching: false, none: false };
      return { ...rest, [PATH]: form };
    })
  );
}

export function gridSentence() {
  if (!grid.hides || !/\/datasets\//.test(location.pathname)) return "";
  if (level.least === 1) return "Boxes that the policy keeps \u00b7 k: all candidates";
  const what = level.least ? `Boxes from score ${level.least.toFixed(2)}` : "All candidates";
  return `${what} \u00b7 k: what the policy keeps`;
}
