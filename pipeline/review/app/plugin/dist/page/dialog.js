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

// True where the key was for the question.
export function dialogKey(event) {
  if (!open) return false;
  if (event.key === "Enter") close(true);
  else if (event.key === "Escape") close(false);
  return true;
}
