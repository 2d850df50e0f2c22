"""Every page as assistive technology, a phone and a keyboard meet it: axe finds nothing, nothing scrolls sideways.

Each page is looked at in both languages and both themes, on a desktop and at 360 px; the error pages and every macro
(by the style guide) too.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.journeys.conftest import DESKTOP, PHONE
from tests.pages.style_guide import STATUSES

Open = Callable[..., Page]
AXE = Path(__file__).parents[1] / "vendor/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SMALLEST_TARGET_PX = 24
LOOKS = [("en", "light", DESKTOP), ("zh", "dark", DESKTOP), ("en", "dark", PHONE), ("zh", "light", PHONE)]
look = pytest.mark.parametrize(
    ("language", "theme", "size"), LOOKS, ids=["en-light-desktop", "zh-dark-desktop", "en-dark-phone", "zh-light-phone"]
)


def complaints(page: Page) -> list[str]:
    """Return what axe finds, and what it does not look for: sideways scrolling and targets too small for a finger."""
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found: list[str] = page.evaluate(
        """rules => axe.run({ runOnly: rules }).then(result =>
            result.violations.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ")).slice(0, 3).join(", ")))""",
        RULES,
    )
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if over > 0:
        found.append(f"the page is {over} px wider than the window")
    found += page.evaluate(
        """smallest => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
            .filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".visually-hidden, .skip-link"))
            .filter(e => getComputedStyle(e).display !== "inline")
            .map(e => [e, e.getBoundingClientRect()])
            .filter(([e, box]) => box.width && Math.min(box.width, box.height) < smallest)
            .map(([e]) => "smaller than a finger: " + e.outerHTML.slice(0, 100))""",
        SMALLEST_TARGET_PX,
    )
    return found


@look
@pytest.mark.parametrize("query", ["as=admin", "wrong=1&degraded=1"])
def test_every_macro(
    open_page: Open, guide_url: str, query: str, language: str, theme: str, size: dict[str, int]
) -> None:
    page = open_page(f"{guide_url}/style-guide?{query}", language=language, theme=theme, size=size)
    assert complaints(page) == []


@look
def test_every_error(open_page: Open, guide_url: str, language: str, theme: str, size: dict[str, int]) -> None:
    page = open_page(f"{guide_url}/knowledge", language=language, theme=theme, size=size)
    found = {}
    for status in STATUSES:
        page.goto(f"{guide_url}/style-guide/error/{status}")
        found[status] = complaints(page)
    assert found == {status: [] for status in STATUSES}


@look
def test_the_palette_the_keys_and_the_menus(
    open_page: Open, guide_url: str, language: str, theme: str, size: dict[str, int]
) -> None:
    page = open_page(f"{guide_url}/style-guide/error/500?as=admin", language=language, theme=theme, size=size)
    page.keyboard.press("Control+k")
    page.locator("#q-palette-suggestions [role=option]").first.wait_for()
    assert complaints(page) == []
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    page.locator("dialog#keys-dialog[open]").wait_for()
    assert complaints(page) == []
    page.keyboard.press("Escape")
    for menu in page.locator("details.menu > summary").all():
        menu.click()
        assert complaints(page) == []


def test_the_check_finds_what_is_wrong(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/knowledge", size=PHONE)
    page.evaluate(
        """() => {
            const wrong = document.createElement("button");
            wrong.className = "wide";
            document.querySelector("main").append(wrong);
            Object.assign(wrong.style, { width: "900px", height: "12px", padding: 0 });
        }"""
    )
    found = " ".join(complaints(page))
    assert "button-name" in found
    assert "wider than the window" in found
    assert "smaller than a finger" in found


def test_the_skip_link_comes_first_and_leads_to_the_content(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/style-guide/error/500")
    page.keyboard.press("Tab")
    link = page.locator(".skip-link")
    assert link.evaluate("link => link === document.activeElement")
    assert link.evaluate("link => link.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_everything_that_can_be_clicked_is_reached_by_tab_and_shows_it(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/style-guide/error/500?as=admin")
    wanted = page.evaluate(
        """() => {
            const all = [...document.querySelectorAll("a[href], button, input, summary")];
            const shown = all.filter(e => e.checkVisibility());
            shown.forEach((e, index) => (e.dataset.place = index));
            return shown.length;
        }"""
    )
    reached, unseen = set(), []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        place, is_seen, what = page.evaluate(
            """() => {
                const e = document.activeElement;
                const style = getComputedStyle(e.closest(".searchbox") ?? e);
                const outline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                return [e.dataset.place, outline, e.outerHTML.slice(0, 120)];
            }"""
        )
        reached.add(place)
        if not is_seen:
            unseen.append(what)
    assert len(reached) == wanted > 10
    assert unseen == []


def test_print_shows_the_text_and_no_navigation(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/style-guide")
    page.emulate_media(media="print")
    assert not page.locator(".masthead").is_visible()
    assert not page.locator(".page__rail").is_visible()
    assert page.locator("article.prose").is_visible()
