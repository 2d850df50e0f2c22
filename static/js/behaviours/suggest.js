// Suggestions under a search box while one types.  Waits 200 ms, drops answers that are no longer asked for, and leaves
// Enter on the words themselves to the form.
import Combobox from "../../vendor/combobox-nav.js";

const WAIT_MS = 200;

// `html` is the title as the server escaped it, with marks around what was typed.
function option({ kind, url, html }, index, names) {
  const link = Object.assign(document.createElement("a"), { href: url, id: `suggestion-${index}`, innerHTML: html });
  link.setAttribute("role", "option");
  link.append(Object.assign(document.createElement("small"), { textContent: names[kind] ?? "" }));
  return link;
}

export default function suggest(form) {
  const input = form.querySelector("input[name=q]");
  const list = form.querySelector("[role=listbox]");
  const names = JSON.parse(form.dataset.kinds);
  const combobox = new Combobox(input, list, { tabInsertsSuggestions: false });
  let timer, request;

  function close() {
    clearTimeout(timer);
    request?.abort();
    combobox.stop();
    list.hidden = true;
  }

  async function ask() {
    const asked = input.value.trim();
    request?.abort();
    if (!asked) return close();
    request = new AbortController();
    const address = `${form.dataset.suggest}?q=${encodeURIComponent(asked)}`;
    const answer = await fetch(address, { signal: request.signal }).catch(() => null);
    const items = answer?.ok ? (await answer.json()).suggestions : [];
    if (asked !== input.value.trim() || document.activeElement !== input) return;
    combobox.stop();
    list.replaceChildren(...items.map((item, index) => option(item, index, names)));
    list.hidden = !items.length;
    if (items.length) combobox.start();
  }

  function askSoon() {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  }

  input.addEventListener("input", (event) => event.isComposing || askSoon());
  input.addEventListener("compositionend", askSoon);
  input.addEventListener("blur", () => setTimeout(close, WAIT_MS));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || list.hidden) return;
    event.stopPropagation();
    close();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
}
