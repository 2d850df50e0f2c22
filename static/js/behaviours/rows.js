// j and k walk through the rows of a list, Enter opens the row's link, x marks its checkbox.
import { listening } from "./keys.js";

export default function rows(list) {
  let at = -1;
  document.addEventListener("keydown", (event) => {
    const lines = [...list.children].filter((line) => line.checkVisibility());
    if (!listening(event) || !lines.length) return;
    if (event.key === "j" || event.key === "k") {
      at = Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), lines.length - 1);
      lines.forEach((line, index) => line.classList.toggle("is-current", index === at));
      lines[at].querySelector("a")?.focus();
      lines[at].scrollIntoView({ block: "nearest" });
    } else if (event.key === "x") {
      lines[at]?.querySelector("input[type=checkbox]")?.click();
    }
  });
}
