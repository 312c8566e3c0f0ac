// The boxes of one phrase only, by the open image's own side-bar filter: one sees that it is on.

import { BOXES, inPage } from "./fiftyone.js";

const PATH = `${BOXES}.detections.phrase_index`;
let shown = null;

// `index` null, or the phrase that is shown already: all phrases.
export function showPhrase(index) {
  shown = index === shown ? null : index;
  const wanted = shown;
  return inPage((ctx, hooks) => {
    hooks.setModalFilters((filters) => {
      const { [PATH]: _, ...rest } = filters;
      if (wanted === null) return rest;
      const range = [wanted, wanted];
      return {
        ...rest,
        [PATH]: { range, _CLS: "numeric", exclude: false, isMatching: false, none: false },
      };
    });
  });
}
