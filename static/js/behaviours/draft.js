// Keeps what is typed in this browser: every 5 s and on leaving a field.  It comes back after a crash or a sign-out, and
// is dropped when the form was sent and the next page is the same person's and refuses nothing.
import draftSent from "./draft-sent.js";

const EVERY_MS = 5000;
const SENT = "draft-sent";

function fields(form) {
  return [...form.elements].filter((field) => field.name && field.name !== "csrf_token" && !["file", "hidden", "password", "submit"].includes(field.type));
}

const isTicked = (field) => ["checkbox", "radio"].includes(field.type);

function value(field) {
  return isTicked(field) ? field.checked : field.value;
}

// As the page came, whatever was typed since, be it before this script.
function sentValue(field) {
  if (isTicked(field)) return field.defaultChecked;
  return field.options ? (field.querySelector("option[selected]") ?? field.options[0])?.value : field.defaultValue;
}

export default function draft(form) {
  // Whoever hurries through the page after a sent form may arrive before that page has dropped the draft.
  draftSent();
  const key = `draft:${document.body.dataset.viewer}:${form.dataset.draft}`;
  const state = form.querySelector("[data-draft-state]");
  const all = (of) => JSON.stringify(fields(form).map((field) => [field.name, of(field)]));
  let kept = all(sentValue);

  function keep() {
    const now = all(value);
    if (now === kept) return;
    kept = now;
    localStorage.setItem(key, now);
    say(form.dataset.draftSaved);
  }

  function say(words) {
    const time = new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
    if (state && words) state.textContent = words.replace("{time}", time);
  }

  const before = localStorage.getItem(key);
  if (before && before !== kept && !document.getElementById("error-summary")) {
    const found = JSON.parse(before);
    const touched = new Set(fields(form).filter((field) => value(field) !== sentValue(field)).map((field) => field.name));
    fields(form).forEach((field, index) => {
      if (found[index]?.[0] !== field.name || touched.has(field.name)) return;
      if (isTicked(field)) field.checked = found[index][1];
      else field.value = found[index][1];
    });
    kept = before;
    say(form.dataset.draftRestored);
  }
  form.addEventListener("focusout", keep);
  form.addEventListener("submit", () => {
    keep();
    sessionStorage.setItem(SENT, key);
  });
  addEventListener("pagehide", () => sessionStorage.getItem(SENT) !== key && keep());
  setInterval(keep, EVERY_MS);
}
