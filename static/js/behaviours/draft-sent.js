// Forgets the draft of a form once a page says that the server took that form.
const SENT = "draft-sent";
const ID_BYTES = 8;

// Gives what is to be sent along with a form, so that the pages that follow can say whether it was taken.
export function remember(key) {
  const id = [...crypto.getRandomValues(new Uint8Array(ID_BYTES))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem(SENT, id + key);
  return id;
}

export default function draftSent() {
  const sent = sessionStorage.getItem(SENT) ?? "";
  const id = document.body.dataset.sent.split(" ").find((taken) => taken && sent.startsWith(taken));
  if (!id) return;
  sessionStorage.removeItem(SENT);
  localStorage.removeItem(sent.slice(id.length));
}
