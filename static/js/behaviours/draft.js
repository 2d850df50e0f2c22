// Keeps what is typed in this browser: every 5 s and on leaving a field.  It comes back after a crash or a sign-out, and
// is dropped when the server took the form.
import { asksForRow, fields, fillIn, sentValue, value } from "../fields.js";
import draftSent, { remember } from "./draft-sent.js";

const EVERY_MS = 5000;

export default function draft(form) {
  draftSent(); // This form may have been sent, and the page that followed left, before that page's scripts came.
  const key = `draft:${document.body.dataset.viewer}:${form.dataset.draft}`;
  const state = form.querySelector("[data-draft-state]");
  const all = (of) => JSON.stringify(fields(form).map((field) => [field.name, of(field)]));
  let [kept, id] = [all(sentValue), ""];

  function keep() {
    const now = all(value);
    if (now === kept) return;
    kept = now;
    localStorage.setItem(key, now);
    say(form.dataset.draftSaved);
  }

  function say(words) {
    const time = new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    if (state && words) state.textContent = words.replace("{time}", time);
  }

  function discard() {
    const look = { type: "button", className: "btn btn--quiet btn--small", textContent: form.dataset.draftDiscard };
    const button = Object.assign(document.createElement("button"), look);
    button.addEventListener("click", () => {
      form.reset();
      localStorage.removeItem(key);
      kept = all(value);
      state.textContent = "";
      fields(form)[0]?.focus();
    });
    return button;
  }

  const before = localStorage.getItem(key);
  if (before && before !== kept && !document.getElementById("error-summary")) {
    const held = JSON.parse(before);
    if (asksForRow(form, held)) return;
    fillIn(form, held);
    kept = before;
    form.closest("details")?.setAttribute("open", "");
    say(form.dataset.draftRestored);
    state?.append(" ", discard());
  }
  form.addEventListener("focusout", keep);
  form.addEventListener("submit", () => {
    keep();
    id = remember(key);
  });
  // Also what is asked for while typing gathers the form's data.
  form.addEventListener("formdata", ({ formData }) => id && formData.set("draft", id));
  addEventListener("pagehide", keep);
  setInterval(keep, EVERY_MS);
}
