// What a form's fields hold: as the page came, and now.  What is typed before a script has come is typed, too.
const isTicked = (field) => ["checkbox", "radio"].includes(field.type);

// Those that a person fills in and that may be kept: no passwords, no files.
export function fields(form) {
  return [...form.elements].filter((field) => field.name && field.name !== "csrf_token" && !["file", "hidden", "password", "submit"].includes(field.type));
}

export function value(field) {
  return isTicked(field) ? field.checked : field.value;
}

export function sentValue(field) {
  if (isTicked(field)) return field.defaultChecked;
  return field.options ? (field.querySelector("option[selected]") ?? field.options[0])?.value : field.defaultValue;
}

// Fills in what was held, as [name, value] in the form's order; what somebody has filled in since stays.
export function fillIn(form, held) {
  const touched = new Set(fields(form).filter((field) => value(field) !== sentValue(field)).map((field) => field.name));
  for (const field of fields(form)) {
    const at = held.findIndex(([name]) => name === field.name);
    if (at < 0) continue;
    const [[, before]] = held.splice(at, 1);
    if (touched.has(field.name)) continue;
    if (isTicked(field)) field.checked = before;
    else field.value = before;
  }
}

// Asks the server for one more row of a list where what was held has more than the form: `contacts-2-name` is in the third.
export function asksForRow(form, held) {
  const button = form.querySelector("[data-adds-to]");
  const rows = (names) => new Set(names.map((name) => name.match(`^${button.dataset.addsTo}-[0-9]+-`)?.[0])).size;
  const lacks = button && rows(held.map(([name]) => name)) > rows(fields(form).map((field) => field.name));
  if (lacks) button.click();
  return lacks;
}
