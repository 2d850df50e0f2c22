// A list of values that narrows while one types.  Waits 200 ms and drops answers that are no longer asked for.
const WAIT_MS = 200;

export default function narrow(place) {
  const form = place.querySelector("form");
  const input = form.querySelector("input[name=find]");
  let timer, request;

  async function ask() {
    request?.abort();
    request = new AbortController();
    const address = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    const answer = await fetch(address, { signal: request.signal }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const list = page.querySelector(".facet--all [data-list]");
    if (list) place.querySelector("[data-list]").replaceChildren(...list.childNodes);
  }

  function askSoon() {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  }

  input.addEventListener("input", (event) => event.isComposing || askSoon());
  input.addEventListener("compositionend", askSoon);
  // Somebody may have typed before this file came.
  if (input.value !== input.defaultValue) askSoon();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    ask();
  });
}
