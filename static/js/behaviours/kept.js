// A page that the browser kept whole behind its back button is shown again once the server says that the session lives.
export default function kept(body) {
  if (!body.dataset.viewer) return;
  addEventListener("pageshow", async (event) => {
    if (!event.persisted) return;
    body.hidden = true;
    // Whoever is not signed in any more is led away from this page.
    const answer = await fetch("/me", { method: "HEAD", redirect: "manual" }).catch(() => null);
    if (answer?.type === "opaqueredirect") location.reload();
    else body.hidden = false;
  });
}
