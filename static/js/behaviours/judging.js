// Judging with the keyboard: 0 to 3 give the hit in focus its grade and go on to the next one; up and down walk through
// the hits, left and right change the grade as in every group of choices.  Where two lists stand side by side, the
// letter of a choice makes it.  Ctrl-Enter saves, as in every form.
export default function judging(form) {
  const groups = [...form.querySelectorAll("[data-judged]")];
  const focus = (group) => {
    (group.querySelector("input:checked") ?? group.querySelector("input")).focus({ preventScroll: true });
    group.scrollIntoView({ block: "nearest" });
  };
  form.addEventListener("keydown", (event) => {
    if (event.target.type !== "radio" || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const said = form.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (said) {
      said.checked = true;
      said.focus();
      event.preventDefault();
      return;
    }
    const at = groups.findIndex((group) => group.contains(event.target));
    if (at < 0) return;
    const choice = "0123".includes(event.key) && groups[at].querySelector(`input[value="${event.key}"]`);
    const next = groups[choice || event.key === "ArrowDown" ? at + 1 : at - 1];
    if (choice) choice.checked = true;
    else if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    if (next) focus(next);
    else if (choice) form.querySelector("button[type=submit]").focus();
  });
  const open = groups.find((group) => !group.querySelector("input:checked"));
  // Where a list is chosen, one looks at both from their beginning.
  if (form.querySelector("[data-key]")) groups[0]?.querySelector("input").focus({ preventScroll: true });
  else if (open) focus(open);
}
