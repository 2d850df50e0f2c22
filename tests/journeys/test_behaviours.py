"""The small behaviours, each as a person meets it, on the style guide."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Route, expect

from tests.journeys.conftest import until_it_listens

Open = Callable[..., Page]
SUGGESTIONS = [
    {"id": "article:1", "kind": "faq", "title": "Kettle", "html": "<mark>Ket</mark>tle", "url": "/knowledge?hit=1"},
    {
        "id": "article:2",
        "kind": "case_study",
        "title": "Kettles",
        "html": "<mark>Ket</mark>tles",
        "url": "/knowledge?hit=2",
    },
]
OFFERED = {"suggestions": SUGGESTIONS, "searches": [], "places": []}


@pytest.fixture
def guide(open_page: Open, guide_url: str) -> Page:
    return open_page(f"{guide_url}/style-guide?as=agent")


def offer(page: Page, answers: list[str]) -> None:
    """Answer suggestions with two hits, and remember what was asked."""

    def answer(route: Route) -> None:
        answers.append(route.request.url.split("q=")[1])
        route.fulfill(content_type="application/json", body=json.dumps(OFFERED))

    page.route("**/api/v1/suggest*", answer)


@contextmanager
def before_the_script(page: Page, behaviour: str) -> Iterator[None]:
    """Load a page anew; what is done in the block is done before a behaviour's script has come."""
    held: list[Route] = []
    page.route(f"**/behaviours/{behaviour}.js", lambda route: held.append(route))  # noqa: PLW0108
    page.reload(wait_until="commit")
    yield
    while not held:
        page.wait_for_timeout(10)
    held[0].continue_()
    until_it_listens(page)


def away_from_fields(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")


# Scripts


def test_a_page_whose_script_cannot_be_had_does_not_say_that_it_listens(guide: Page) -> None:
    guide.route("**/behaviours/draft.js", lambda route: route.abort())
    with guide.expect_event("pageerror"):
        guide.reload()
    expect(guide.locator("html[data-ready]")).not_to_be_attached()


# Keys


def test_a_slash_goes_to_the_search_box_in_sight(guide: Page) -> None:
    away_from_fields(guide)
    guide.keyboard.press("/")
    expect(guide.locator("#q-large")).to_be_focused()
    assert guide.locator("#q-large").input_value() == ""


def test_a_slash_far_down_the_page_opens_the_palette_and_keeps_the_place(guide: Page) -> None:
    away_from_fields(guide)
    guide.evaluate("scrollTo(0, 2500)")
    guide.keyboard.press("/")
    expect(guide.locator("#q-palette")).to_be_focused()
    assert guide.evaluate("scrollY") == 2500


@pytest.mark.parametrize("key", ["Control+k", "Meta+k"])
def test_the_palette_opens_from_a_field_too_and_escape_returns_there(guide: Page, key: str) -> None:
    guide.locator("#subject").focus()
    guide.keyboard.press(key)
    expect(guide.locator("#q-palette")).to_be_focused()
    guide.keyboard.press("Escape")
    expect(guide.locator("dialog#palette-dialog")).to_be_hidden()
    expect(guide.locator("#subject")).to_be_focused()


def test_the_palette_runs_actions_and_shows_their_keys(guide: Page) -> None:
    offer(guide, [])
    guide.keyboard.press("Control+k")
    options = guide.locator("#q-palette-suggestions [role=option]")
    expect(options).to_have_text(["Go to: Knowledge", "Go to: Desk", "Go to: Customers", "Open a dialogo"])
    guide.keyboard.type("dialog")
    expect(options).to_have_count(3)
    guide.keyboard.press("ArrowDown")
    guide.keyboard.press("Enter")
    expect(guide.locator("dialog#palette-dialog")).to_be_hidden()
    expect(guide.locator("dialog#sample")).to_be_visible()


def test_an_action_has_its_key_and_the_list_of_keys_names_it(guide: Page) -> None:
    away_from_fields(guide)
    guide.keyboard.press("?")
    expect(guide.locator("[data-keys-here]")).to_have_text("oOpen a dialog")
    guide.keyboard.press("Escape")
    away_from_fields(guide)
    guide.keyboard.press("o")
    expect(guide.locator("dialog#sample")).to_be_visible()


def test_keys_are_silent_while_typing_and_composing(guide: Page) -> None:
    guide.locator("#subject").press_sequentially("and/or?")
    assert guide.locator("#subject").input_value() == "and/or?"
    away_from_fields(guide)
    guide.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '/', isComposing: true, bubbles: true}))"
    )
    expect(guide.locator("#q-large")).not_to_be_focused()


def test_escape_leaves_the_search(guide: Page) -> None:
    guide.locator("#q").focus()
    guide.keyboard.press("Escape")
    expect(guide.locator("#q")).not_to_be_focused()


def test_a_question_mark_lists_the_keys_and_they_can_be_switched_off(guide: Page) -> None:
    away_from_fields(guide)
    guide.keyboard.press("?")
    dialog = guide.locator("dialog#keys-dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Keys without Ctrl are on").uncheck()
    guide.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    away_from_fields(guide)
    guide.keyboard.press("/")
    expect(guide.locator("#q-large")).not_to_be_focused()
    guide.keyboard.press("Control+k")
    expect(guide.locator("#q-palette")).to_be_focused()


def test_j_and_k_walk_through_a_list(guide: Page) -> None:
    away_from_fields(guide)
    rows = guide.locator(".list-table tbody tr")
    guide.keyboard.press("j")
    guide.keyboard.press("j")
    expect(rows.nth(1).locator("a")).to_be_focused()
    guide.keyboard.press("k")
    expect(rows.nth(0).locator("a")).to_be_focused()


# Results while typing


def test_suggestions_come_after_a_pause_once_and_arrows_choose(guide: Page) -> None:
    asked: list[str] = []
    offer(guide, asked)
    box = guide.locator("#q-large")
    box.press_sequentially("ket", delay=20)
    options = guide.locator("#q-large-suggestions [role=option]")
    expect(options).to_have_count(2)
    assert asked == ["ket"]
    expect(box).to_have_attribute("aria-expanded", "true")
    guide.keyboard.press("ArrowDown")
    guide.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    guide.keyboard.press("Enter")
    guide.wait_for_url("**/knowledge?hit=2")


def test_what_was_typed_before_the_script_came_is_asked_for(guide: Page) -> None:
    offer(guide, [])
    with before_the_script(guide, "suggest"):
        guide.locator("#q-large").press_sequentially("ket")
    expect(guide.locator("#q-large-suggestions [role=option]")).to_have_count(2)


def test_enter_without_a_choice_searches_for_the_words(guide: Page) -> None:
    offer(guide, [])
    guide.locator("#q-large").press_sequentially("ket")
    expect(guide.locator("#q-large-suggestions [role=option]")).to_have_count(2)
    guide.keyboard.press("Enter")
    guide.wait_for_url("**/search?q=ket")


def test_escape_closes_suggestions_first(guide: Page) -> None:
    offer(guide, [])
    guide.locator("#q-large").press_sequentially("ket")
    expect(guide.locator("#q-large-suggestions")).to_be_visible()
    guide.keyboard.press("Escape")
    expect(guide.locator("#q-large-suggestions")).to_be_hidden()
    expect(guide.locator("#q-large")).to_be_focused()


def test_a_late_answer_is_dropped(guide: Page) -> None:
    waiting: list[Route] = []
    # The built-in method itself is not a function to Playwright.
    guide.route("**/api/v1/suggest*", lambda route: waiting.append(route))  # noqa: PLW0108
    box = guide.locator("#q-large")
    for words in ("old", "older"):
        with guide.expect_request(f"**/api/v1/suggest?q={words}"):
            box.fill(words)
    # The page has given the request up by now, which is just as well.
    with suppress(PlaywrightError):
        waiting[0].fulfill(content_type="application/json", body=json.dumps(OFFERED))
    guide.wait_for_timeout(100)
    expect(guide.locator("#q-large-suggestions")).to_be_hidden()
    waiting[1].fulfill(content_type="application/json", body=json.dumps(OFFERED))
    expect(guide.locator("#q-large-suggestions [role=option]")).to_have_count(2)


# Theme and language


def test_the_theme_changes_at_once_and_stays(guide: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = guide.evaluate(background)
    guide.get_by_title("Theme").click()
    guide.get_by_role("link", name="Dark").click()
    dark = guide.evaluate(background)
    assert dark != light
    guide.reload()
    assert guide.evaluate(background) == dark


def test_the_system_decides_until_somebody_does(open_page: Open, guide_url: str) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    shades = {
        theme: open_page(f"{guide_url}/knowledge", theme=theme).evaluate(background) for theme in ("light", "dark")
    }
    assert shades["light"] != shades["dark"]


@pytest.mark.parametrize("javascript", [True, False])
def test_theme_and_language_work_with_and_without_scripts(open_page: Open, guide_url: str, javascript: bool) -> None:
    page = open_page(f"{guide_url}/search?q=pot&tag=a", javascript=javascript)
    page.get_by_role("link", name="中文").click()
    page.wait_for_url("**/search?q=pot&tag=a")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    page.get_by_title("外观").click()
    page.get_by_role("link", name="深色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.url.endswith("/search?q=pot&tag=a")


# Menus and dialogs


def test_a_menu_closes_on_escape_and_on_a_click_elsewhere(guide: Page) -> None:
    menu = guide.locator("details.menu").first
    menu.locator("summary").click()
    expect(menu).to_have_attribute("open", "")
    guide.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    menu.locator("summary").click()
    guide.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_a_dialog_opens_from_its_button_and_gives_the_focus_back(guide: Page) -> None:
    button = guide.get_by_role("button", name="Open a dialog")
    button.click()
    expect(guide.locator("dialog#sample")).to_be_visible()
    guide.keyboard.press("Escape")
    expect(button).to_be_focused()


# Forms


def test_the_error_summary_takes_the_focus_and_leads_to_the_fields(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/style-guide?wrong=1")
    expect(page.locator("#error-summary")).to_be_focused()
    page.get_by_role("link", name="Write the e-mail address that we answer to.").click()
    expect(page.locator("#email")).to_be_focused()


def test_a_draft_is_kept_on_leaving_a_field_and_comes_back(guide: Page) -> None:
    guide.locator("#subject").fill("It leaks")
    guide.locator("#email").focus()
    expect(guide.locator("[data-draft-state]")).to_contain_text("Draft saved in this browser")
    guide.reload()
    assert guide.locator("#subject").input_value() == "It leaks"
    expect(guide.locator("[data-draft-state]")).to_contain_text("Your draft is back")


def test_a_draft_that_came_back_can_be_discarded(guide: Page) -> None:
    guide.locator("#subject").fill("It leaks")
    guide.get_by_label("It can wait").check()
    guide.locator("#email").focus()
    guide.reload()
    expect(guide.locator("#subject")).to_have_value("It leaks")
    guide.get_by_role("button", name="Discard it").click()
    for _ in range(2):
        expect(guide.locator("#subject")).to_have_value("")
        expect(guide.get_by_label("It can wait")).not_to_be_checked()
        guide.reload()
        until_it_listens(guide)
    expect(guide.locator("[data-draft-state]")).to_have_text("")


def test_what_was_typed_before_the_script_came_is_a_draft(guide: Page) -> None:
    with before_the_script(guide, "draft"):
        guide.locator("#subject").fill("It leaks")
    guide.locator("#email").focus()
    expect(guide.locator("[data-draft-state]")).to_contain_text("Draft saved in this browser")


def test_a_draft_that_comes_back_leaves_what_was_typed_before_it_came(guide: Page) -> None:
    guide.locator("#subject").fill("It leaks")
    guide.locator("#body").fill("Since Monday.")
    guide.get_by_label("It can wait").check()
    guide.locator("#email").focus()
    with before_the_script(guide, "draft"):
        guide.locator("#subject").fill("It smokes")
        guide.get_by_label("I cannot work").check()
    expect(guide.locator("#subject")).to_have_value("It smokes")
    expect(guide.get_by_label("I cannot work")).to_be_checked()
    expect(guide.locator("#body")).to_have_value("Since Monday.")


def test_a_draft_belongs_to_one_person(guide: Page, guide_url: str) -> None:
    guide.locator("#subject").fill("It leaks")
    guide.locator("#email").focus()
    guide.goto(f"{guide_url}/style-guide")
    assert guide.locator("#subject").input_value() == ""


# Running text


def test_code_can_be_copied(guide: Page) -> None:
    guide.context.grant_permissions(["clipboard-read", "clipboard-write"])
    guide.get_by_role("button", name="Copy").click()
    expect(guide.get_by_role("button", name="Copied")).to_be_visible()
    assert guide.evaluate("navigator.clipboard.readText()").startswith("kettle --descale")


def test_headings_have_links(guide: Page) -> None:
    link = guide.get_by_role("link", name="Link to this section: Steps")
    assert link.get_attribute("href") == "#steps"


def test_the_contents_mark_the_section_that_is_read(guide: Page) -> None:
    guide.locator("#why").evaluate("heading => heading.scrollIntoView({block: 'start'})")
    expect(guide.locator(".contents a[aria-current]")).to_have_text("Why")


def test_a_note_can_be_undone_and_waits_ten_seconds(guide: Page) -> None:
    guide.clock.install()
    guide.evaluate(
        """async () => {
            const main = document.querySelector("script[src$='main.js']").src;
            const { toast } = await import(main.replace("main.js", "behaviours/toast.js"));
            toast("Archived.", { undo: () => (document.title = "undone") });
            toast("Saved.");
        }"""
    )
    guide.get_by_role("button", name="Undo").last.click()
    assert guide.title() == "undone"
    note = guide.locator(".toast-note", has_text="Saved.")
    guide.clock.fast_forward(9_000)
    expect(note).to_be_visible()
    guide.clock.fast_forward(2_000)
    expect(note).to_have_count(0)
