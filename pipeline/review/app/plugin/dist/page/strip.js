// The caption above the image: phrases in the colours of their boxes, to click.

import { look, modal } from "./fiftyone.js";
import { takeDrawn } from "./drawing.js";
import { watchHover } from "./hover.js";
import { keepLevel, level, setLevel, shownCount } from "./level.js";
import { drawVerdicts } from "./lines.js";
import { marked } from "./marked_words.js";
import { askProgress } from "./progress.js";
import { onSave, status } from "./saves.js";

const STYLE = `
#glipforge-strip{position:fixed;top:0;left:0;right:0;z-index:100000;display:flex;gap:12px;
  align-items:center;flex-wrap:wrap;padding:6px 14px;background:#1d1f23;color:#eee;
  font:15px/1.6 system-ui,sans-serif;border-bottom:1px solid #444}
#glipforge-strip .told{flex:1 1 100%;display:flex;gap:12px;align-items:center}
#glipforge-strip .told .note{white-space:nowrap}
#glipforge-strip .counts{min-width:20em;text-align:right}
#glipforge-strip .caption{flex:1 1 auto;white-space:pre-wrap;max-height:25vh;overflow-y:auto}
#glipforge-strip .actions{flex:1 1 100%;display:flex;gap:8px 12px;flex-wrap:wrap;align-items:center}
#glipforge-strip button{font:inherit;border:0;border-radius:4px;padding:0 5px;cursor:pointer;
  color:#fff}
#glipforge-strip .phrase{border-radius:4px;padding:0 5px;cursor:pointer;color:#fff}
#glipforge-strip .phrase .phrase{box-shadow:0 0 0 1px #fff}
#glipforge-strip sub,#glipforge-strip .pencil{user-select:none}
#glipforge-strip .action{background:#3a3d44;padding:2px 9px}
#glipforge-strip .note{color:#bbb;font-size:13px}
#glipforge-strip .pencil{background:none;color:#bbb;padding:0 3px;font-size:12px}
#glipforge-strip .level{display:inline-flex;gap:6px;align-items:center}
#glipforge-strip .level input{width:90px}
#glipforge-hover{position:fixed;left:0;right:0;bottom:0;z-index:100000;padding:6px 14px;
  background:#1d1f23;color:#eee;font:15px/1.5 system-ui,sans-serif;pointer-events:none}
#glipforge-strip.asking .caption{outline:2px solid #ffb300;outline-offset:4px}
#glipforge-strip .asked{color:#ffb300;font-weight:600}
#glipforge-question,#glipforge-help{position:fixed;top:30%;left:50%;transform:translateX(-50%);
  z-index:100001;background:#2b2d31;color:#eee;padding:18px 24px;border-radius:8px;
  font:16px system-ui,sans-serif;box-shadow:0 4px 24px #000a}
#glipforge-question button{font:inherit;margin-right:10px;padding:4px 14px;cursor:pointer}
body.glipforge-open [data-cy="modal"]{top:var(--glipforge-strip,44px)!important;
  height:calc(100% - var(--glipforge-strip,44px))!important}
#glipforge-help td{padding:1px 12px 1px 0;vertical-align:top}
#glipforge-help td:first-child{white-space:nowrap;font-weight:600}
.notistack-SnackbarContainer{z-index:100002!important;bottom:44px!important}
body.glipforge-open .MuiDialog-root{top:var(--glipforge-strip,44px)!important}
`;

const ASKED = "Which phrase does the new box show? Click it or press its number.";
let strip = null;
let shown = "";
export const waiting = { sampleId: null, labelId: null };

export function showStrip(options) {
  const style = document.createElement("style");
  style.textContent = STYLE;
  document.head.appendChild(style);
  strip = document.createElement("div");
  strip.id = "glipforge-strip";
  strip.style.display = "none";
  document.body.appendChild(strip);
  // Drawn anew between press and release, a button would miss its click and a marking its words.
  strip.addEventListener("pointerdown", () => (held = true));
  for (const kind of ["pointerup", "pointercancel"])
    window.addEventListener(kind, () => (held = false), true);
  onSave((event) => {
    if (event.kind === "drawn" && !takeDrawn(event, options.onFailure))
      Object.assign(waiting, event);
    draw(options);
  });
  watchHover(() => (modal() ? seen : null));
  setInterval(() => draw(options), 400);
}

export function stopWaiting() {
  waiting.sampleId = waiting.labelId = null;
}

let drawing = false;
let held = false;
let seen = null; // what was looked at last

async function draw({ colors, onPhrase, onDraw, buttons }) {
  if (drawing) return;
  drawing = true;
  try {
    const page = modal() ? await look().catch(() => null) : null;
    seen = page;
    if (!page) {
      strip.style.display = "none";
      document.body.classList.remove("glipforge-open");
      shown = "";
      return;
    }
    drawVerdicts(page.looker);
    await keepLevel(page);
    askProgress();
    if (waiting.sampleId && waiting.sampleId !== page.sampleId) stopWaiting();
    const phrases = page.sample.phrases || [];
    const counts = phrases.map(
      (_, index) => page.labels.filter((label) => label.phrase_index === index).length
    );
    const words = {};
    for (const label of page.labels)
      words[label.review || "pending"] = (words[label.review || "pending"] || 0) + 1;
    const state = JSON.stringify([
      page.sampleId, page.sample.caption, counts, words, waiting.labelId, status, level,
    ]);
    if (state === shown || held) return;
    shown = state;
    const old = strip.querySelector(".caption");
    const top = old && strip.dataset.sample === page.sampleId ? old.scrollTop : 0;
    strip.replaceChildren(
      row(
        "told",
        caption(page.sample.caption || "(no caption)", phrases, counts, colors, onPhrase, onDraw),
        note(Object.entries(words).map(([word, count]) => `${count} ${word}`).join(" · "), "counts"),
        note(saveWord(), "saved")
      ),
      row(
        "actions",
        ...buttons.map(button),
        ...(waiting.labelId ? [note(ASKED, "asked")] : []),
        slider(page)
      )
    );
    strip.classList.toggle("asking", !!waiting.labelId);
    strip.dataset.sample = page.sampleId;
    strip.style.display = "flex";
    strip.querySelector(".caption").scrollTop = top; // of a long caption
    document.body.classList.add("glipforge-open");
    document.body.style.setProperty("--glipforge-strip", `${strip.offsetHeight}px`);
  } finally {
    drawing = false;
  }
}

function saveWord() {
  if (status.refused) return "not saved";
  if (status.saving) return "saving…";
  return status.unsaved ? "unsaved edit" : "saved";
}

// What changes its width comes last: a button never moves under the pointer to where another was.
function row(kind, ...nodes) {
  const node = document.createElement("span");
  node.className = kind;
  node.append(...nodes);
  return node;
}

function button([name, text, action]) {
  const node = document.createElement("button");
  node.dataset.action = name;
  node.className = "action";
  node.textContent = text;
  node.addEventListener("click", action);
  return node;
}

function slider(page) {
  const node = document.createElement("label");
  node.className = "note level";
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: 1, step: 0.05, value: level.least });
  input.addEventListener("change", () => setLevel(Number(input.value)));
  const what = level.least < 1 ? `from score ${level.least.toFixed(2)}` : "that the policy keeps";
  const text = document.createElement("span");
  text.textContent = `${shownCount(page)} of ${page.labels.length} boxes: ${what}`;
  node.append(input, text);
  return node;
}

function note(text, kind) {
  const node = document.createElement("span");
  node.className = "note" + (kind ? ` ${kind}` : "");
  node.textContent = text;
  return node;
}

function caption(text, phrases, counts, colors, onPhrase, onDraw) {
  const node = document.createElement("span");
  node.className = "caption";
  node.dir = "auto"; // captions of languages that are written from the right
  const letters = Array.from(text); // offsets count characters, not UTF-16 units
  const rest = phrases.map(({ start, end }, index) => ({ start, end, index }));
  const outerFirst = (one, other) => one.start - other.start || other.end - one.end;
  rest.sort(outerFirst);

  // The characters [from, to), and in them the phrases that begin there: one within another is a
  // part of it, one that crosses its end goes on behind it.
  const fill = (parent, from, to) => {
    let position = from;
    while (rest.length && rest[0].start < to) {
      const { start, end, index } = rest.shift();
      if (end > to) {
        rest.push({ start: to, end, index });
        rest.sort(outerFirst);
        continue;
      }
      const first = Math.max(start, position);
      if (first >= end) continue;
      parent.append(letters.slice(position, first).join(""));
      const part = phrasePart(index, phrases[index], counts[index], colors, onPhrase);
      fill(part, first, end);
      part.append(small(`${index + 1}`));
      parent.append(part, pencil(index, onDraw));
      position = end;
    }
    parent.append(letters.slice(position, to).join(""));
  };
  fill(node, 0, letters.length);
  return node;
}

function phrasePart(index, phrase, count, colors, onPhrase) {
  const node = document.createElement("span"); // the words of a button cannot be marked
  node.setAttribute("role", "button");
  node.className = "phrase";
  node.dataset.phrase = String(index);
  node.style.background = colors[index % colors.length];
  const best = Number(phrase.best_score || 0).toFixed(2);
  node.title = `phrase ${index + 1}: ${count} boxes, best score ${best}`;
  node.addEventListener("click", (event) => {
    event.stopPropagation(); // not also the phrase around it
    if (!marked()) onPhrase(index);
  });
  return node;
}

function small(text) {
  const node = document.createElement("sub");
  node.textContent = text;
  return node;
}

function pencil(index, onDraw) {
  const node = document.createElement("button");
  node.dataset.draw = String(index);
  node.className = "pencil";
  node.textContent = "+";
  node.title = `draw a box for phrase ${index + 1}`;
  node.addEventListener("click", (event) => {
    event.stopPropagation();
    onDraw(index);
  });
  return node;
}
