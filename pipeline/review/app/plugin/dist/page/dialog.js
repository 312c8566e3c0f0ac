// One question at a time, answered by Enter, Escape or the mouse.

let open = null;

export function ask(question, yes) {
  close(false);
  return new Promise((resolve) => {
    const box = document.createElement("div");
    box.id = "glipforge-question";
    box.setAttribute("role", "alertdialog");
    const text = document.createElement("p");
    text.textContent = question;
    const buttons = document.createElement("div");
    for (const [label, answer] of [[`${yes} (Enter)`, true], ["Cancel (Esc)", false]]) {
      const button = document.createElement("button");
      button.textContent = label;
      button.addEventListener("click", () => close(answer));
      buttons.appendChild(button);
    }
    box.append(text, buttons);
    document.body.appendChild(box);
    open = { box, resolve };
  });
}

function close(answer) {
  if (!open) return;
  const { box, resolve } = open;
  open = null;
  box.remove();
  resolve(answer);
}

// As the reviewer goes on to something else.
export const closeQuestion = () => close(false);

// True where the key was for the question.
export function dialogKey(event) {
  const sheet = document.getElementById("glipforge-help");
  if (!open && sheet && event.key === "Escape") {
    sheet.remove();
    return true;
  }
  if (!open) return false;
  if (event.key === "Enter") close(true);
  else if (event.key === "Escape") close(false);
  else if (open.input && event.target === open.input) return "typing";
  else if (open.input && !event.ctrlKey && !event.metaKey) {
    // FiftyOne's modal may hold the focus: then the keys are written into the line here.
    if (event.key.length === 1) open.input.value += event.key;
    else if (event.key === "Backspace") open.input.value = open.input.value.slice(0, -1);
  }
  return true;
}

// A line of text; null where the reviewer cancels or writes nothing.
export function askText(question) {
  close(false);
  return new Promise((resolve) => {
    const box = document.createElement("div");
    box.id = "glipforge-question";
    const text = document.createElement("p");
    text.textContent = question;
    const input = document.createElement("input");
    box.append(text, input);
    document.body.appendChild(box);
    open = { box, input, resolve: (yes) => resolve((yes && input.value.trim()) || null) };
    // FiftyOne's modal takes the focus back once.
    for (const wait of [0, 100, 300]) setTimeout(() => input.focus(), wait);
  });
}

const SHEET = [
  ["a", "accept: the edited box, else the selected, else all that are visible (asks)"],
  ["r", "reject, likewise"],
  ["1 … 9", "give the edited or selected boxes to a phrase; with none, show that phrase only"],
  ["0", "show all phrases"],
  ["u", "take back my last change"],
  ["d", "image done, and next"],
  ["b", "image bad (asks why), and next"],
  ["m", "something is missing (asks what)"],
  ["n", "next image"],
  ["p", "marked words of the caption become a phrase, with the selected boxes"],
  ["k", "all candidates, or what the policy keeps; the slider: those from a score"],
  ["v", "colours by verdict, or by phrase"],
  ["?", "this sheet"],
];

export function help() {
  const there = document.getElementById("glipforge-help");
  if (there) return there.remove();
  const box = document.createElement("div");
  box.id = "glipforge-help";
  const table = document.createElement("table");
  for (const [key, meaning] of SHEET) {
    const row = table.insertRow();
    row.insertCell().textContent = key;
    row.insertCell().textContent = meaning;
  }
  box.append(table);
  document.body.appendChild(box);
}
