"""An editor judges with the keyboard alone, and without JavaScript."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from portal.accounts.models import User
from portal.extensions import db
from portal.steering import configurations, judgements
from portal.steering.models import Configuration, JudgedSet
from tests.journeys.conftest import House

Open = Callable[..., Page]


@pytest.fixture
def place(live_server: House) -> Iterator[str]:
    """The address of a query that nobody judged yet."""
    with live_server.app.app_context():
        by = db.session.scalars(select(User).where(User.role == "editor")).one().viewer
        made = judgements.create_set(by=by, changes={"name": "Keyboard"})
        query_id = judgements.add_query(made, by=by, text="printer offline").id
    yield f"/steering/judging/{query_id}?one=product&other=product"
    with live_server.app.app_context():
        found = db.session.scalars(select(JudgedSet).where(JudgedSet.name == "Keyboard")).one()
        judgements.delete_set(found, by=by)


def test_judging_with_the_keyboard_alone(open_page: Open, live_server: House, place: str) -> None:
    page = open_page(live_server.url, cookies=live_server.cookies["editor"])
    page.goto(live_server.url + place)
    groups = page.locator("[data-judged]")
    first, second = groups.nth(0).locator("input"), groups.nth(1).locator("input")
    expect(first.first).to_be_focused()
    page.keyboard.press("3")
    expect(first.nth(3)).to_be_checked()
    expect(second.first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(first.nth(3)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(first.nth(2)).to_be_checked()
    page.keyboard.press("ArrowDown")
    count = groups.count()
    for _ in range(count - 1):
        page.keyboard.press("0")
    expect(page.locator(".judging button[type=submit]").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Which found what")).to_be_visible()
    expect(first.nth(2)).to_be_checked()


def test_judging_without_javascript(open_page: Open, live_server: House, place: str) -> None:
    page = open_page(live_server.url, cookies=live_server.cookies["editor"], javascript=False)
    page.goto(live_server.url + place)
    groups = page.locator("[data-judged]")
    for at in range(groups.count()):
        groups.nth(at).locator("input").nth(1).check()
    page.locator(".judging button[type=submit]").first.click()
    expect(page.get_by_role("heading", name="Which found what")).to_be_visible()
    expect(groups.first.locator("input").nth(1)).to_be_checked()


@pytest.fixture
def lists(live_server: House, place: str) -> Iterator[str]:
    """The address of the same query with the lists of two configurations that find different orders."""
    with live_server.app.app_context():
        by = db.session.scalars(select(User).where(User.role == "editor")).one().viewer
        weights = {"title": 20.0, "all": 0.01}
        made = configurations.save(None, by=by, changes={"name": "Titles first", "weights": weights})
        number = made.id
    yield place.partition("?")[0] + f"/lists?one=product&other={number}"
    with live_server.app.app_context():
        by = db.session.scalars(select(User).where(User.role == "editor")).one().viewer
        configurations.delete(db.session.get_one(Configuration, number), by=by)


def test_two_lists_are_judged_with_the_keyboard_alone(open_page: Open, live_server: House, lists: str) -> None:
    page = open_page(live_server.url, cookies=live_server.cookies["editor"])
    page.goto(live_server.url + lists)
    first = page.locator("[data-judged]").nth(0).locator("input")
    expect(first.first).to_be_focused()
    expect(page.locator(".lists__name")).to_have_count(0)
    page.keyboard.press("3")
    expect(first.nth(3)).to_be_checked()
    page.keyboard.press("b")
    choice = page.get_by_role("radio", name="List B")
    expect(choice).to_be_checked()
    expect(choice).to_be_focused()
    page.keyboard.press("s")
    expect(page.get_by_role("radio", name="equally good")).to_be_checked()
    page.keyboard.press("a")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".lists__name")).to_have_count(2)
    expect(page.get_by_role("radio", name="List A")).to_be_checked()
    expect(first.nth(3)).to_be_checked()


def test_two_lists_are_judged_without_javascript(open_page: Open, live_server: House, lists: str) -> None:
    page = open_page(live_server.url, cookies=live_server.cookies["editor"], javascript=False)
    page.goto(live_server.url + lists)
    page.get_by_role("radio", name="List B").check()
    page.locator(".judging button[type=submit]").first.click()
    expect(page.locator(".lists__name")).to_have_count(2)
    expect(page.get_by_role("radio", name="List B")).to_be_checked()
