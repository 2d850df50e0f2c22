// On the page after a form was sent: forgets its draft, unless that page refuses it, is somebody else's or the sign-in, or
// is no answer at all, because the server was not reached.
export default function draftSent() {
  const key = sessionStorage.getItem("draft-sent");
  sessionStorage.removeItem("draft-sent");
  if (!key?.startsWith(`draft:${document.body.dataset.viewer}:`)) return;
  const cameBack = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  const isAnswer = document.referrer.startsWith(`${location.origin}/`) && !cameBack;
  if (isAnswer && !document.querySelector("#error-summary, [data-refused]")) localStorage.removeItem(key);
}
