"""Hostile text on every surface that shows what people wrote, in a real browser: nothing runs, no window opens."""

from collections.abc import Callable, Iterable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from portal.extensions import db
from portal.knowledge import articles
from portal.knowledge.models import Article
from portal.markup import Source, render_many
from tests import hostile
from tests.journeys.conftest import open_as, serving
from tests.people import People

Open = Callable[..., Page]
GROUP = 340


def provoke(page: Page) -> None:
    """Do what a reader might: move over everything, press every link and button inside the text.

    Links to another page are held back after their handlers ran: a script address still acts, and the reader stays.
    """
    page.evaluate(
        """() => {
          window.addEventListener("click", (event) => {
            const link = event.target.closest("a, area");
            const address = link?.getAttribute("href") ?? link?.getAttribute("xlink:href");
            if (address && URL.parse(address, document.baseURI)?.protocol.startsWith("http")) event.preventDefault();
          });
          for (const element of document.querySelectorAll("main *")) {
            for (const kind of ["mouseover", "pointerenter", "focus", "focusin", "click"]) {
              if (kind === "click" && element.closest("form, nav, header, .page-head")) continue;
              element.dispatchEvent(new MouseEvent(kind, { bubbles: true, cancelable: true }));
            }
          }
        }"""
    )


def watched(page: Page) -> list[str]:
    """Collect the windows that a page opens."""
    dialogs: list[str] = []

    def note(dialog: object) -> None:
        dialogs.append(dialog.message)  # type: ignore[attr-defined]
        dialog.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", note)
    return dialogs


@pytest.fixture
def written(app: object, people: People) -> list[Article]:
    """Articles that hold all payloads: each rendered for itself, and kept as it was written, too."""
    made = []
    for start in range(0, len(hostile.PAYLOADS), GROUP):
        group = [payload.replace("\0", "") for payload in hostile.PAYLOADS[start : start + GROUP]]
        rendered = render_many([Source(texts={"body": payload}) for payload in group])
        article = articles.create(
            by=people.dora.viewer,
            kind="faq",
            state="published",
            changes={
                "title": f"<img src=x onerror=alert({start})> {start}",
                "body": "x",
                "summary": "<script>alert(1)</script>",
            },
        )
        article.html = {"body": "\n".join(one.html.get("body", "") for one in rendered)}
        article.revisions[0].content = article.revisions[0].content | {"body": "\n".join(group)}
        articles.save(article, by=people.dora.viewer, changes={"summary": "'\"><svg onload=alert(1)>"})
        made.append(article)
    return made


@pytest.fixture
def surfaces(
    app: object, people: People, written: list[Article], open_page: Open
) -> Iterator[tuple[Page, list[str], str]]:
    """Dora's browser, what windows it opened, and where the portal is."""
    with serving(app) as url:  # type: ignore[arg-type]
        page = open_as(people.dora, open_page, url, "/")
        yield page, watched(page), url


def test_nothing_runs_where_articles_are_shown(surfaces: tuple[Page, list[str], str], written: list[Article]) -> None:
    page, dialogs, url = surfaces
    slugs = [article.slug for article in written]
    db.session.rollback()
    for slug in slugs:
        for path in ("", "/history", "/edit"):
            page.goto(f"{url}/articles/{slug}{path}", wait_until="networkidle")
            assert page.locator("h1").count() == 1
            provoke(page)
        page.goto(f"{url}/articles/{slug}")
        page.emulate_media(media="print")
        provoke(page)
        page.emulate_media(media="screen")
    page.goto(f"{url}/board?show=mine", wait_until="networkidle")
    provoke(page)
    assert dialogs == []


def test_nothing_runs_in_the_preview(surfaces: tuple[Page, list[str], str]) -> None:
    page, dialogs, url = surfaces
    db.session.rollback()
    page.goto(f"{url}/articles/new", wait_until="networkidle")
    shown = page.evaluate(
        """async (payloads) => {
          const pane = document.querySelector("[data-do=preview]");
          let shown = 0;
          for (const payload of payloads) {
            const body = new FormData();
            body.set("body", payload);
            body.set("csrf_token", document.querySelector("form.editor [name=csrf_token]").value);
            const answer = await fetch(pane.dataset.preview, { method: "POST", body });
            pane.innerHTML = await answer.text();
            shown += answer.ok;
          }
          return shown;
        }""",
        ["\n\n".join(group) for group in _groups(hostile.PAYLOADS, 12)],
    )
    provoke(page)
    assert shown == -(-len(hostile.PAYLOADS) // 12)
    assert dialogs == []


def test_the_same_text_does_act_where_nobody_guards(browser: Browser) -> None:
    """The control: a page that shows the payloads as they are opens windows, so the other tests can fail."""
    page = browser.new_page()
    dialogs = watched(page)
    for payload in ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>x</svg>"):
        page.set_content(f"<!doctype html><main>{payload}</main>", wait_until="load")
        page.wait_for_timeout(150)
    page.close()
    assert len(dialogs) >= 3


def _groups(items: list[str], size: int) -> Iterable[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
