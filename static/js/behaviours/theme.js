// Changes the theme at once, without loading the page again; the cookie makes the next page come in it.
export default function theme(list) {
  list.addEventListener("click", (event) => {
    const link = event.target.closest("[data-theme-choice]");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const choice = link.dataset.themeChoice;
    document.cookie = `theme=${choice}; path=/; max-age=31536000; samesite=lax`;
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    list.querySelectorAll("[aria-current]").forEach((other) => other.removeAttribute("aria-current"));
    link.setAttribute("aria-current", "true");
    list.closest("details").open = false;
    list.closest("details").querySelector("summary").focus();
  });
}
