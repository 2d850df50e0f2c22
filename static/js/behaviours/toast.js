// toast("Archived.", { undo: () => … }) shows a note for 10 s; the clock stands still while it has focus or the pointer.
const SHOWN_MS = 10000;

export function toast(words, { undo } = {}) {
  const note = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
  const button = note.querySelector("button");
  note.querySelector("p").textContent = words;
  let timer;
  const wait = () => (timer = setTimeout(() => note.remove(), SHOWN_MS));
  const hold = () => clearTimeout(timer);
  if (undo) button.addEventListener("click", () => (undo(), note.remove()));
  else button.remove();
  for (const name of ["mouseenter", "focusin"]) note.addEventListener(name, hold);
  for (const name of ["mouseleave", "focusout"]) note.addEventListener(name, wait);
  document.getElementById("toasts").append(note);
  wait();
  return note;
}

// A flashed message with an undo button goes away by itself, like a toast, once its 10 s are over.
export default function fade(flash) {
  let timer = setTimeout(() => flash.remove(), SHOWN_MS);
  flash.addEventListener("focusin", () => clearTimeout(timer));
  flash.addEventListener("mouseenter", () => clearTimeout(timer));
}
