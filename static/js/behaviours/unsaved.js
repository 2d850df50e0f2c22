// Warns before leaving a form that was changed and not sent; silent while its draft is kept.
export default function unsaved(form) {
  if (form.method !== "post" || form.dataset.draft) return;
  let changed = false;
  form.addEventListener("input", () => (changed = true));
  form.addEventListener("submit", () => (changed = false));
  addEventListener("beforeunload", (event) => {
    if (changed) event.preventDefault();
  });
}
