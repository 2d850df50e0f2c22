// "Show all" of a long facet: the list of all values, and the field that narrows it, come where the link stood.
export default function allValues(link) {
  link.setAttribute("aria-expanded", "false");
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const answer = await fetch(link.href).catch(() => null);
    const page = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
    const list = page && page.querySelector(".facet--all");
    if (!list) return location.assign(link.href);
    const facet = link.closest(".facet");
    facet.querySelector("ul")?.remove();
    link.replaceWith(list);
    list.querySelector("input[name=find]").focus();
  });
}
