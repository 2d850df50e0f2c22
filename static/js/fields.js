// What a form's fields hold: as the page came, and now.  What is typed before a script has come is typed, too.
const isTicked = (field) => ["checkbox", "radio"].includes(field.type);

// Those that a person fills in and that may be kept: no passwords, no files.
export function fields(form) {
  return [...form.elements].filter((field) => field.name && field.name !== "csrf_token" && !["file", "hidden", "password", "submit"].includes(field.type));
}

export function value(field) {
  return isTicked(field) ? field.checked : field.value;
}

export function setValue(field, held) {
  if (isTicked(field)) field.checked = held;
  else field.value = held;
}

export function sentValue(field) {
  if (isTicked(field)) return field.defaultChecked;
  return field.options ? (field.querySelector("option[selected]") ?? field.options[0])?.value : field.defaultValue;
}
