// What a search box offers: titles from the server, and the actions that the page itself has.
const MOST_ACTIONS = 6;

function option(name, content, note, noteName = "small") {
  const made = document.createElement(name);
  made.setAttribute("role", "option");
  made.append(content);
  if (note) made.append(Object.assign(document.createElement(noteName), { textContent: note }));
  return made;
}

// `html` is the title as the server escaped it, with marks around what was typed.
export async function titles(form, asked, signal) {
  const names = JSON.parse(form.dataset.kinds);
  const answer = await fetch(`${form.dataset.suggest}?q=${encodeURIComponent(asked)}`, { signal }).catch(() => null);
  const items = answer?.ok ? (await answer.json()).suggestions : [];
  return items.map(({ kind, url, html }) => {
    const title = Object.assign(document.createElement("span"), { innerHTML: html });
    return Object.assign(option("a", title, names[kind]), { href: url });
  });
}

// Links and buttons that say data-action (its value, or else their text, is the name; data-key is the key that runs them).
export function actions(asked) {
  const words = asked.toLowerCase();
  const found = [...document.querySelectorAll("[data-action]")]
    .filter((target) => !target.disabled && !target.closest("[hidden]"))
    .map((target) => ({ target, name: target.dataset.action || target.textContent.trim() }))
    .filter(({ name }) => name.toLowerCase().includes(words));
  return found.slice(0, MOST_ACTIONS).map(({ target, name }) => {
    const line = option("div", name, target.dataset.key, "kbd");
    line.addEventListener("combobox-commit", () => {
      line.closest("dialog")?.close();
      target.click();
    });
    return line;
  });
}
