// Offers to select every row of a list at once, and says how many are selected.
export default function selectAll(form) {
  const all = form.querySelector("[data-select-all]");
  const said = form.querySelector("[data-selected]");
  const boxes = [...form.querySelectorAll("input[name=record]")];
  all.closest("[hidden]").hidden = false;

  function count() {
    const selected = boxes.filter((box) => box.checked).length;
    all.checked = selected === boxes.length;
    all.indeterminate = selected > 0 && !all.checked;
    said.textContent = selected || "";
  }

  all.addEventListener("change", () => {
    boxes.forEach((box) => (box.checked = all.checked));
    count();
  });
  form.addEventListener("change", count);
  // A page that comes back out of the browser's memory still has its marks.
  addEventListener("pageshow", count);
  count();
}
