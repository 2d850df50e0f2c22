// Puts the focus on the summary of errors, and from its links into the fields themselves.
export default function errorSummary(summary) {
  summary.focus();
  summary.addEventListener("click", (event) => {
    const field = document.getElementById(event.target.closest("a")?.hash.slice(1));
    const input = field?.matches("fieldset") ? field.querySelector("input") : field;
    if (!input) return;
    event.preventDefault();
    input.scrollIntoView({ block: "center" });
    input.focus();
  });
}
