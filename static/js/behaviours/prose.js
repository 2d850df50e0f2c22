// Running text: a copy button on each code block and a link on each heading that has an id.  The names of both come
// from data- attributes, in the page's language.
export default function prose(text) {
  for (const code of text.querySelectorAll("pre")) {
    const frame = Object.assign(document.createElement("div"), { className: "code-frame" });
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn--small copy-button" });
    button.textContent = text.dataset.copy;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent.trimEnd());
      button.textContent = text.dataset.copied;
      setTimeout(() => (button.textContent = text.dataset.copy), 2000);
    });
    code.tabIndex = 0;
    code.replaceWith(frame);
    frame.append(code, button);
  }
  for (const heading of text.querySelectorAll(":is(h2, h3, h4)[id]")) {
    const link = Object.assign(document.createElement("a"), { href: `#${heading.id}`, className: "heading-link", textContent: "#" });
    link.setAttribute("aria-label", `${text.dataset.link}: ${heading.textContent}`);
    heading.append(link);
  }
}
