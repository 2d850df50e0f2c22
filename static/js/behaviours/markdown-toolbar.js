// Shows the Markdown toolbar and loads the element that gives its buttons their work.
export default async function markdownToolbar(toolbar) {
  await import("../../vendor/markdown-toolbar-element.js");
  toolbar.hidden = false;
}
