// On the page after a form was sent without errors: forgets its draft.
export default function draftSent() {
  const key = sessionStorage.getItem("draft-sent");
  sessionStorage.removeItem("draft-sent");
  if (key && !document.getElementById("error-summary")) localStorage.removeItem(key);
}
