"""Reading and writing in a real browser, with and without scripts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from portal.knowledge import articles
from portal.vocabulary import categories
from tests.journeys.conftest import PHONE, open_as, serving
from tests.journeys.test_accessibility import complaints
from tests.library import Library
from tests.people import People, Person

Open = Callable[..., Page]
BODY = """The drum stands still.

## Look first

Open the door.

## Then reset

```
reset --hard 3
```

""" + "\n\n".join(f"Paragraph {n} of many." for n in range(40))


@dataclass(frozen=True)
class Shelf:
    """A portal with a few articles and an index, listening on a port."""

    url: str
    open_page: Open

    def as_person(self, person: Person, path: str, **look: object) -> Page:
        return open_as(person, self.open_page, self.url, path, **look)


@pytest.fixture
def shelf(app: object, people: People, library: Library, open_page: Open) -> Iterator[Shelf]:
    top = categories.create(by=people.dora.viewer, changes={"name": "Dryers"})
    library.write("The drum does not turn", BODY, category_id=top.id)
    library.write("The drum turns too slowly", "The drum is heavy. Take things out.", category_id=top.id)
    library.catch_up()
    with serving(app) as url:  # type: ignore[arg-type]
        yield Shelf(url, open_page)


def test_a_reader_walks_through_an_article(shelf: Shelf) -> None:
    page = shelf.open_page(shelf.url + "/articles/the-drum-does-not-turn")
    beside = page.get_by_role("complementary")
    expect(beside.get_by_role("link", name="The drum turns too slowly")).to_be_visible()
    current = beside.locator("a[aria-current=location]")
    expect(current).to_have_text("Look first")
    page.mouse.wheel(0, 4000)
    expect(current).to_have_text("Then reset")
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    expect(page.get_by_role("link", name="Link to this section: Then reset")).to_have_attribute("href", "#s-then-reset")
    page.emulate_media(media="print")
    expect(page.locator(".article__address")).to_be_visible()
    expect(page.locator("header.masthead")).to_be_hidden()
    expect(page.locator("#helpful")).to_be_hidden()


def test_a_vote_its_reason_and_its_undo_need_no_script(shelf: Shelf) -> None:
    page = shelf.open_page(shelf.url + "/articles/the-drum-does-not-turn", javascript=False, size=PHONE)
    page.get_by_role("button", name="No").click()
    page.fill("#reason", "Which door?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("main")).to_contain_text("You said that it did not help.")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Yes")).to_be_visible()


def test_two_editors_of_one_article_lose_nothing(shelf: Shelf, people: People) -> None:
    first = shelf.as_person(people.dora, "/articles/the-drum-turns-too-slowly/edit")
    second = shelf.as_person(people.erin, "/articles/the-drum-turns-too-slowly/edit")
    expect(first.locator(".markdown__preview")).to_contain_text("Take things out.")
    first.fill("#body", "The drum is full. Take things out.")
    first.get_by_role("button", name="Save and publish").click()
    expect(first.locator(".flash--success")).to_contain_text("Saved as version 2.")
    second.fill("#body", "The drum is heavy. Take half of it out.")
    second.get_by_role("button", name="Save and publish").click()
    expect(second.locator(".notice--warning")).to_contain_text("Nothing is lost")
    expect(second.locator(".diff del").first).to_have_text("full")
    expect(second.locator("#body")).to_have_value("The drum is heavy. Take half of it out.")
    assert complaints(second) == []
    second.fill("#body", "The drum is full. Take half of it out.")
    second.get_by_role("button", name="Save and publish").click()
    expect(second.locator(".article__body")).to_contain_text("The drum is full. Take half of it out.")
    expect(second.locator("main")).to_contain_text("Version 3")


def test_an_article_is_written_without_scripts(shelf: Shelf, people: People) -> None:
    page = shelf.as_person(people.dora, "/articles/new", javascript=False)
    page.fill("#title", "The door does not open")
    page.fill("#body", "Press **harder**.")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".preview-panel strong")).to_have_text("harder")
    expect(page.locator("#body")).to_have_value("Press **harder**.")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The door does not open")
    page.get_by_role("button", name="Archive").click()
    page.locator(".flash").get_by_role("button", name="Undo").click()
    expect(page.locator(".flash--success")).to_contain_text("Published.")


def test_what_was_typed_comes_back_after_a_crash(shelf: Shelf, people: People) -> None:
    page = shelf.as_person(people.dora, "/articles/new")
    page.fill("#title", "Half a thought")
    page.locator("#body").focus()
    page.goto(shelf.url + "/board")
    page.goto(shelf.url + "/articles/new", wait_until="networkidle")
    expect(page.locator("#title")).to_have_value("Half a thought")


def test_what_is_archived_is_gone_from_the_page_at_once(shelf: Shelf, people: People) -> None:
    page = shelf.open_page(shelf.url + "/categories/dryers")
    expect(page.locator(".article-item")).to_have_count(2)
    found = articles.get_readable(people.dora.viewer, "the-drum-does-not-turn")
    assert found is not None
    articles.archive(found, by=people.dora.viewer)
    page.reload()
    expect(page.locator(".article-item")).to_have_count(1)
    expect(page.locator(".list-total")).to_have_text("1 article")
