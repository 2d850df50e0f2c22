// A live preview: sends the text half a second after the last key and shows what the server rendered and cleaned.
const WAIT_MS = 500;

export default function preview(pane) {
  const source = document.getElementById(pane.dataset.source);
  let timer, request;

  async function show() {
    request?.abort();
    request = new AbortController();
    const body = new FormData();
    body.set("body", source.value);
    body.set("csrf_token", source.form.elements.csrf_token.value);
    const answer = await fetch(pane.dataset.preview, { method: "POST", body, signal: request.signal }).catch(() => null);
    if (answer?.ok) pane.innerHTML = await answer.text();
  }

  source.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, WAIT_MS);
  });
  if (source.value.trim()) show();
}
