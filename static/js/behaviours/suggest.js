// Suggestions under a search box while one types.  Waits 200 ms, drops answers that are no longer asked for, and leaves
// Enter on the words themselves to the form.  A box with data-actions, the palette's, offers the page's actions too.
import Combobox from "../../vendor/combobox-nav.js";
import { actions, offers } from "../suggestions.js";

const WAIT_MS = 200;

export default function suggest(form) {
  const input = form.querySelector("input[name=q]");
  const list = form.querySelector("[role=listbox]");
  const isPalette = "actions" in form.dataset;
  const combobox = new Combobox(input, list, { tabInsertsSuggestions: false });
  let timer, request;

  function show(options) {
    combobox.stop();
    list.replaceChildren(...options);
    list.hidden = !options.length;
    options.forEach((option, index) => (option.id = `${list.id}-${index}`));
    if (options.length) combobox.start();
  }

  function close() {
    clearTimeout(timer);
    request?.abort();
    show([]);
  }

  async function ask() {
    const asked = input.value.trim();
    request?.abort();
    const own = isPalette ? actions(asked) : [];
    if (!asked && isPalette) return show(own);
    request = new AbortController();
    const found = await offers(form, asked, request.signal);
    if (asked === input.value.trim() && document.activeElement === input) show([...own, ...found]);
  }

  function askSoon() {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  }

  input.addEventListener("input", (event) => event.isComposing || askSoon());
  input.addEventListener("compositionend", askSoon);
  input.addEventListener("focus", () => isPalette && ask());
  // An empty box offers what to begin with, when it is asked: the page's own focus opens nothing.
  input.addEventListener("click", () => !input.value.trim() && list.hidden && ask());
  input.addEventListener("blur", () => setTimeout(close, WAIT_MS));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && list.hidden && !event.isComposing) ask();
    if (event.key !== "Escape" || list.hidden || isPalette) return;
    event.stopPropagation();
    close();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  // What was typed before this file had come is asked for as well.
  if (document.activeElement === input && input.value !== input.defaultValue) askSoon();
}
