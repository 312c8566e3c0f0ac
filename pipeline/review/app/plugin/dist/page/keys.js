// Keys of the reviewer, heard before FiftyOne's own; only while no form is open and nobody types.

import { dialogKey } from "./dialog.js";
import { formOpen, modal } from "./fiftyone.js";

const typing = (target) =>
  /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName || "") || target.isContentEditable;

// `ofImage`, `ofGrid`: key -> function, with an image open and without
export function listen(ofImage, ofGrid) {
  window.addEventListener(
    "keydown",
    (event) => {
      const asked = dialogKey(event);
      if (asked) {
        if (asked !== "typing") event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (formOpen() || typing(event.target || {})) return;
      const action = (modal() ? ofImage : ofGrid)[event.key];
      if (!action || action(event) === false) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true
  );
}
