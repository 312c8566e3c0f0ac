// What shows: first what the policy keeps and people judged (level 1), by the slider also the other
// candidates down to a score. In the open image and in the grid it is a side-bar filter of FiftyOne:
// one sees that it is on, and verdicts go to what it shows.

import { BOXES, inPage, look, modal, python } from "./fiftyone.js";

const PATH = `${BOXES}.detections.level`;
const JUST_BELOW = 1e-6;
const NOTICED_MS = 2000;
const NOTICED_LOOKS = 4; // on a slow machine they take longer
export const level = { least: 1 };
// What was last seen of the grid; `theirs`: the reviewer set its filter in the side bar.
const grid = { dataset: null, view: "", hides: false, shows: null, theirs: false, others: 0 };
let touchedAt = -Infinity;
let looksSince = Infinity;

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
  grid.theirs = false;
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

// A hand in the side bar: a filter that changes soon after is the reviewer's own.
export function watchSideBar() {
  const note = (event) => {
    if (event.target.closest && event.target.closest('[data-cy="sidebar"]')) {
      touchedAt = Date.now();
      looksSince = 0;
    }
  };
  for (const kind of ["pointerdown", "keydown"]) window.addEventListener(kind, note, true);
}

// Called over and over: tells the server once that a dataset is open, and brings the grid to the
// level. FiftyOne drops filters with each view and while it loads a dataset or closes an image, at
// any time later: then the level comes again. What the reviewer sets in the side bar stays.
let busy = false;
export async function keepGrid() {
  if (busy || !/\/datasets\//.test(location.pathname)) return;
  busy = true;
  try {
    const { dataset, view, filter } = await inPage(gridState);
    if (!dataset) return;
    if (grid.dataset !== dataset) {
      Object.assign(grid, { dataset, hides: false });
      grid.hides = !!(await python("begin", {})).hides;
    }
    if (grid.view !== view) Object.assign(grid, { view, theirs: false, others: 0 });
    grid.shows = leastOf(filter);
    looksSince += 1;
    if (!grid.hides || modal() || grid.theirs) return;
    if (isShown()) grid.others = 0;
    else if (isHandThere()) grid.others += 1;
    else if (grid.others) takeOver();
    else await putInGrid(level.least);
  } finally {
    busy = false;
  }
}

const isHandThere = () => looksSince < NOTICED_LOOKS || Date.now() - touchedAt < NOTICED_MS;

function takeOver() {
  Object.assign(grid, { others: 0, theirs: true });
  if (grid.shows === 0) level.least = 0;
}

// The level that a filter of the grid stands for; null where it is another's.
function leastOf(filter) {
  if (!filter) return 0;
  const ours = filter.exclude && filter.range && filter.range[0] === 0;
  return ours ? filter.range[1] + JUST_BELOW : null;
}

const isShown = () => grid.shows !== null && Math.abs(grid.shows - level.least) < JUST_BELOW / 2;

async function gridState(ctx) {
  const get = (name) => ctx.state.snapshot.getPromise(window.__fos__[name]);
  const [dataset, view, filters] = await Promise.all(["datasetId", "view", "filters"].map(get));
  return { dataset, view: JSON.stringify([dataset, view]), filter: (filters || {})[PATH] };
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
  if (!isShown()) return ""; // not yet, or the side bar says what shows
  if (level.least === 1) return "Boxes that the policy keeps \u00b7 k: all candidates";
  const what = level.least ? `Boxes from score ${level.least.toFixed(2)}` : "All candidates";
  return `${what} \u00b7 k: what the policy keeps`;
}
