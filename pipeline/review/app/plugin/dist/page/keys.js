// Keys of the reviewer, heard before FiftyOne's own; only while an image is open, no form is,
// and nobody types.

import { dialogKey } from "./dialog.js";
import { formOpen, modal } from "./fiftyone.js";

const typing = (target) =>
  /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName || "") || target.isContentEditable;

// `actions`: key -> function
export function listen(actions) {
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
      if (!modal() || formOpen() || typing(event.target || {})) return;
      const action = actions[event.key];
      if (!action || action(event) === false) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true
  );
}
