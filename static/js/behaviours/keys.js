// Keys for everywhere: / and Ctrl-K (⌘K) search, ? lists the keys, Esc leaves a field.  Silent while typing and while an
// input method composes.  Keys without Ctrl can be switched off in the list of keys.
const OFF = "keys-off";

export function listening(event) {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  return !event.isComposing && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !localStorage.getItem(OFF);
}

function search() {
  const boxes = [...document.querySelectorAll("input[name=q]")].filter((box) => box.checkVisibility());
  const box = boxes.find((one) => one.closest("main")) ?? boxes[0];
  box?.focus();
  box?.select();
  return box;
}

export default function keys() {
  const dialog = document.getElementById("keys");
  const choice = dialog.querySelector("[data-keys-on]");
  choice.checked = !localStorage.getItem(OFF);
  choice.addEventListener("change", () => {
    if (choice.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
  document.addEventListener("keydown", (event) => {
    const chord = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && !event.isComposing;
    if (chord && event.key.toLowerCase() === "k") {
      if (search()) event.preventDefault();
    } else if (chord && event.key === "Enter" && event.target.form?.method === "post") {
      event.target.form.requestSubmit();
    } else if (event.key === "Escape" && event.target.matches?.("input[name=q]") && !event.isComposing) {
      event.target.blur();
    } else if (listening(event) && event.key === "/") {
      if (search()) event.preventDefault();
    } else if (listening(event) && event.key === "?") {
      event.preventDefault();
      dialog.showModal();
    }
  });
}
