// Keys for everywhere: Ctrl-K (⌘K) opens the palette, / the nearest search box, ? lists the keys, and an element's data-key
// works it.  Silent while typing and while an input method composes.  Keys without Ctrl can be switched off in the list.
const OFF = "keys-off";

export function listening(event) {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable], dialog");
  return !event.isComposing && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !localStorage.getItem(OFF);
}

function palette() {
  const dialog = document.getElementById("palette-dialog");
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("input[name=q]").select();
}

function search() {
  const boxes = [...document.querySelectorAll("main input[name=q], header input[name=q]")];
  const near = boxes.filter((box) => box.checkVisibility() && box.getBoundingClientRect().bottom > 0).at(-1);
  if (near) near.select();
  else palette();
}

function list(dialog) {
  const own = document.querySelectorAll("[data-action][data-key]");
  dialog.querySelector("[data-keys-here]").replaceChildren(
    ...[...own].map((target) => {
      const line = document.createElement("div");
      const key = Object.assign(document.createElement("kbd"), { textContent: target.dataset.key });
      line.append(document.createElement("dt"), document.createElement("dd"));
      line.firstChild.append(key);
      line.lastChild.append(target.dataset.action || target.textContent.trim());
      return line;
    }),
  );
  dialog.showModal();
}

export default function keys() {
  const dialog = document.getElementById("keys-dialog");
  const choice = dialog.querySelector("[data-keys-on]");
  choice.checked = !localStorage.getItem(OFF);
  choice.addEventListener("change", () => (choice.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
  document.addEventListener("keydown", (event) => {
    const chord = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && !event.isComposing;
    const own = listening(event) && document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (chord && event.key === "Enter" && event.target.form?.method === "post") return event.target.form.requestSubmit();
    if (event.key === "Escape" && event.target.matches?.("input[name=q]") && !event.isComposing) return event.target.blur();
    const run = chord && event.key.toLowerCase() === "k" ? palette : listening(event) && { "/": search, "?": () => list(dialog) }[event.key];
    if (!run && !own) return;
    event.preventDefault();
    if (run) run();
    else own.click();
  });
}
