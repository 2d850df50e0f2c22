// Tells the server every few seconds that this request is open here, or being answered, and shows who else has it open.
// Rests while the tab is hidden, and for good when the server no longer answers it.
const ANSWERING_MS = 60000;

export default function presence(place) {
  const token = document.querySelector("meta[name=csrf-token]").content;
  let typedAt = -ANSWERING_MS;
  let timer, shown;

  function send(words) {
    const options = { method: "POST", body: new URLSearchParams(words), headers: { "X-CSRFToken": token }, keepalive: true };
    return fetch(place.dataset.presence, options).catch(() => null);
  }

  async function tell() {
    clearTimeout(timer);
    if (document.hidden) return;
    const answer = await send(performance.now() - typedAt < ANSWERING_MS ? { answering: "1" } : {});
    // Signed out, or the request is gone: whoever is sent elsewhere has nothing more to tell.
    if (answer && (answer.redirected || [401, 403, 404].includes(answer.status))) return;
    clearTimeout(timer);
    timer = setTimeout(tell, Number(place.dataset.every) * 1000);
    const words = answer?.ok ? await answer.text() : shown;
    // The same words again would be read out again.
    if (words !== shown) place.innerHTML = shown = words;
  }

  function leave() {
    clearTimeout(timer);
    send({ left: "1" });
  }

  document.addEventListener("input", (event) => {
    if (!event.target.matches("textarea")) return;
    const begins = performance.now() - typedAt >= ANSWERING_MS;
    typedAt = performance.now();
    if (begins) tell();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : tell()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && tell());
  tell();
}
