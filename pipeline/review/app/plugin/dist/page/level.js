// What shows of the open image: first what the policy keeps and people judged (level 1), by the
// slider also the other candidates down to a score. It is the image's own side-bar filter: one sees
// that it is on, and verdicts go to what it shows.

import { BOXES, inPage, look } from "./fiftyone.js";

const PATH = `${BOXES}.detections.level`;
export const level = { least: 1 };

const isHidden = (label, least) => typeof label.level === "number" && label.level < least;

// Called as the strip is drawn: an image that was opened anew has no filter yet.
export function keepLevel(page) {
  const hides = page.labels.some((label) => isHidden(label, level.least));
  const set = (page.filters || {})[PATH];
  const now = set ? set.range[0] : 0;
  return now === level.least || (!hides && !set) ? null : apply();
}

export function setLevel(least) {
  level.least = least;
  return apply();
}

export async function toggleLevel() {
  await setLevel(level.least < 1 ? 1 : 0);
  return look();
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
