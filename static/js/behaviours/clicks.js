// Tells the search log which hit was opened, and at which rank; never delays the click itself.
export default function clicks(list) {
  const search = list.dataset.search;
  if (!search) return;
  const note = (event) => {
    if (event.type === "auxclick" && event.button !== 1) return;
    const link = event.target.closest(".hit a[href]");
    const row = link && link.closest("[data-hit]");
    if (!row) return;
    const parameters = new URLSearchParams({ hit: row.dataset.hit, rank: row.dataset.rank });
    navigator.sendBeacon(`/api/v1/searches/${search}/click?${parameters}`);
  };
  list.addEventListener("click", note);
  list.addEventListener("auxclick", note);
}
