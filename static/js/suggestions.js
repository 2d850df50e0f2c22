// What a search box offers: titles, searches and topics from the server, and the actions that the page itself has.
const MOST_ACTIONS = 6;

function option(name, content, note, noteName = "small") {
  const made = document.createElement(name);
  made.setAttribute("role", "option");
  made.append(content);
  if (note) made.append(Object.assign(document.createElement(noteName), { textContent: note }));
  return made;
}

// `html` is the text as the server escaped it, with marks around what was typed.
function marked(html) {
  return Object.assign(document.createElement("span"), { innerHTML: html });
}

// Earlier searches first: they are what one most likely goes on to type; then topics, then titles.
export async function offers(form, asked, signal) {
  const names = JSON.parse(form.dataset.kinds);
  const answer = await fetch(`${form.dataset.suggest}?q=${encodeURIComponent(asked)}`, { signal }).catch(() => null);
  if (!answer?.ok) return [];
  const { suggestions, searches, places } = await answer.json();
  const link = (content, note, href) => Object.assign(option("a", content, note), { href });
  return [
    ...searches.map(({ html, url, is_own }) => link(marked(html), is_own ? names.own : names.popular, url)),
    ...places.map(({ name, url }) => link(name, names.place, url)),
    ...suggestions.map(({ kind, url, html }) => link(marked(html), names[kind], url)),
  ];
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
