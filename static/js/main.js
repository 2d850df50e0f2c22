// Wires pages to behaviours: an element says data-do="name other", and behaviours/name.js is loaded when one is there.
// Everything works without this file; behaviours only make it quicker.

const wired = new WeakMap();

async function wire(element) {
  const done = wired.get(element) ?? new Set();
  wired.set(element, done);
  for (const name of element.dataset.do.split(/\s+/).filter(Boolean)) {
    if (done.has(name)) continue;
    done.add(name);
    const behaviour = await import(`./behaviours/${name}.js`);
    behaviour.default(element);
  }
}

function wireAll(root) {
  const elements = [...(root.matches?.("[data-do]") ? [root] : []), ...(root.querySelectorAll?.("[data-do]") ?? [])];
  const works = elements.map(wire);
  if (root.querySelector?.("[hx-get], [hx-post], [hx-put], [hx-patch], [hx-delete]")) {
    works.push(import("../vendor/htmx.js"));
  }
  return Promise.all(works);
}

// Whoever drives the page from outside learns when it listens.
wireAll(document).then(() => (document.documentElement.dataset.ready = ""));
new MutationObserver((changes) => {
  for (const change of changes) change.addedNodes.forEach(wireAll);
}).observe(document.body, { childList: true, subtree: true });
