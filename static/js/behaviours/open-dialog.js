// A button that opens the <dialog> named by data-dialog; shown only where this works.
export default function openDialog(button) {
  button.hidden = false;
  button.addEventListener("click", () => document.getElementById(button.dataset.dialog).showModal());
}
