"""One browser, several tabs: what is left after a sign-out, and under whose name an older page saves."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, BrowserType, Locator, Page, expect
from sqlalchemy import select

from portal.accounts import sessions
from portal.extensions import db
from portal.service import records
from portal.service.models import Entry
from tests.journeys.conftest import PATIENCE_MS, serving, until_it_listens
from tests.people import PASSWORD, People, Person

CANARY = "quagga"
KEPT_BACK = (
    "--enable-features=BackForwardCache,"
    "CacheControlNoStoreEnterBackForwardCache:level/restore-unless-http-only-cookie-change"
)
"""Chromium keeps whole pages behind its back button, also those that no cache may keep; Playwright turns it off."""


@dataclass(frozen=True)
class House:
    """A portal that listens, and a browser of one person after the other."""

    url: str
    browser: BrowserContext

    def open(self, path: str) -> Page:
        """Open a path in a new tab."""
        page = self.browser.new_page()
        page.goto(self.url + path)
        until_it_listens(page)
        return page

    def sign_in(self, page: Page, person: Person) -> None:
        """Sign in on the sign-in page that a tab shows."""
        fill_in(page, person)
        expect(page.locator(".menu__title")).to_have_text(person.name)
        until_it_listens(page)

    def sign_out(self) -> None:
        """Sign out in a tab of its own."""
        page = self.open("/")
        page.locator("details.menu", has_text="Sign out").locator("summary").click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("link", name="Sign in", exact=True)).to_be_visible()
        page.close()

    def send_signed_out(self, page: Page, button: Locator, person: Person) -> None:
        """Send a form after a sign-out in another tab, and sign in again where that leads."""
        self.sign_out()
        button.click()
        expect(page.locator(".flash")).to_contain_text("Nothing was saved, because you are signed out.")
        self.sign_in(page, person)


def fill_in(page: Page, person: Person) -> None:
    """Fill in the sign-in page, once its button is there, and send it."""
    page.wait_for_load_state()
    page.fill("#email", person.email)
    page.fill("#password", PASSWORD)
    page.locator("#password").press("Enter")


@pytest.fixture
def house(
    app: Flask, people: People, browser_type: BrowserType, browser_type_launch_args: dict[str, Any]
) -> Iterator[House]:
    records.create(by=people.alice.viewer, subject=f"Paper jam {CANARY}", description="Since Monday.")
    launch = browser_type_launch_args | {"args": [*browser_type_launch_args["args"], KEPT_BACK]}
    with (
        serving(app) as url,
        browser_type.launch(**launch, ignore_default_args=["--disable-back-forward-cache"]) as browser,
    ):
        context = browser.new_context(locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        yield House(url, context)


def go(page: Page, way: str) -> None:
    """Press the back or the forward button, and wait until another page is there."""
    left = page.url
    page.evaluate(f"history.{way}()")
    # A page that was kept whole is not loaded again, so nothing more than this can be waited for.
    page.wait_for_url(lambda url: url != left, wait_until="commit")


def test_nothing_private_is_left_behind_the_back_button(house: House, people: People) -> None:
    tab = house.open("/sign-in")
    house.sign_in(tab, people.alice)
    for path in ("/records/R-000001", "/me", "/api/v1/records", "/requests"):
        tab.goto(house.url + path, wait_until="networkidle")
    go(tab, "back")
    expect(tab.locator("body")).to_contain_text(CANARY)
    house.sign_out()
    for way in ("back", "back", "forward", "forward", "forward"):
        go(tab, way)
        expect(tab.locator("body")).to_contain_text("Sign in")
        for word in (CANARY, people.alice.email):
            assert word not in tab.content(), tab.url


def test_a_session_that_ended_elsewhere_leaves_nothing_behind_the_back_button(house: House, people: People) -> None:
    """The browser's cookie stays as it is, so the browser shows the page that it kept."""
    tab = house.open("/sign-in")
    house.sign_in(tab, people.alice)
    tab.goto(f"{house.url}/records/R-000001")
    until_it_listens(tab)
    tab.goto(f"{house.url}/help")
    sessions.end_all(people.alice.user)
    db.session.commit()
    go(tab, "back")
    expect(tab.locator("body")).to_contain_text("Sign in")
    assert CANARY not in tab.content()


def test_what_was_typed_is_there_again_behind_the_back_button(house: House, people: People) -> None:
    tab = house.open("/sign-in?next=/ask")
    house.sign_in(tab, people.alice)
    tab.fill("#subject", "The tray sticks")
    tab.goto(f"{house.url}/help")
    go(tab, "back")
    expect(tab.locator("#subject")).to_be_visible()
    expect(tab.locator("#subject")).to_have_value("The tray sticks")


def test_a_form_that_was_signed_out_under_is_there_again_after_signing_in(house: House, people: People) -> None:
    tab = house.open("/sign-in?next=/ask")
    house.sign_in(tab, people.alice)
    expect(tab).to_have_url(f"{house.url}/ask")
    tab.fill("#subject", "The tray sticks")
    tab.fill("#description", "Since this morning.")
    house.send_signed_out(tab, tab.get_by_role("button", name="Send the request"), people.alice)
    expect(tab).to_have_url(f"{house.url}/ask")
    expect(tab.locator("#subject")).to_have_value("The tray sticks")
    expect(tab.locator("#description")).to_have_value("Since this morning.")
    tab.get_by_role("button", name="Send the request").click()
    expect(tab.locator(".timeline")).to_contain_text("Since this morning.")


@contextmanager
def without_scripts(page: Page) -> Iterator[None]:
    """Let pages come without their scripts: whoever hurries, or whose line is bad, has gone on before they are here."""
    page.route("**/js/**", lambda route: route.abort())
    yield
    page.unroute("**/js/**")


def test_who_signs_in_again_before_the_scripts_have_come_loses_nothing(house: House, people: People) -> None:
    tab = house.open("/sign-in?next=/ask")
    house.sign_in(tab, people.alice)
    tab.fill("#subject", "The tray sticks")
    house.sign_out()
    with without_scripts(tab):
        tab.get_by_role("button", name="Send the request").click()
        expect(tab.locator(".flash")).to_contain_text("Nothing was saved")
        fill_in(tab, people.alice)
    expect(tab.locator("h1")).to_have_text("Ask us")
    tab.reload()
    expect(tab.locator("#subject")).to_have_value("The tray sticks")


def test_who_leaves_a_failure_before_the_scripts_have_come_loses_nothing(
    house: House, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = house.open("/sign-in?next=/ask")
    house.sign_in(tab, people.alice)
    tab.fill("#subject", "The tray sticks")
    with without_scripts(tab), monkeypatch.context() as patch:
        patch.setattr(records, "create", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        tab.get_by_role("button", name="Send the request").click()
        expect(tab.locator(".lead")).to_contain_text("nothing was saved")
    tab.get_by_role("link", name="Open the page again").click()
    expect(tab.locator("h1")).to_have_text("Ask us")
    expect(tab.locator("#subject")).to_have_value("The tray sticks")


def test_what_was_sent_is_no_draft_though_the_next_page_had_no_scripts(house: House, people: People) -> None:
    tab = house.open("/sign-in?next=/ask")
    house.sign_in(tab, people.alice)
    tab.fill("#subject", "The tray sticks")
    with without_scripts(tab):
        tab.get_by_role("button", name="Send the request").click()
        tab.wait_for_url("**/records/R-000002")
    tab.goto(f"{house.url}/ask")
    until_it_listens(tab)
    expect(tab.locator("#subject")).to_have_value("")


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("/customers/new", {"name": "Quince GmbH", "notes": "Calls on Mondays.", "contacts-0-name": "Ada"}),
        ("/customers/1/profile", {"region": "Japan", "notes": "Calls on Mondays."}),
        ("/records/R-000001/details", {"subject": "The tray sticks"}),
        ("/vocabulary/categories", {"name": "Trays", "name_zh": "纸盒"}),
        ("/steering/synonyms", {"words": "tray", "others": "drawer, bin"}),
        ("/steering/synonyms/lines", {"lines": "tray => drawer, bin"}),
    ],
)
def test_staffs_forms_too_are_there_again_after_signing_in(
    house: House, people: People, path: str, typed: dict[str, str]
) -> None:
    tab = house.open(f"/sign-in?next={path}")
    house.sign_in(tab, people.fred)
    form = tab.locator("form[data-draft]")
    for name, value in typed.items():
        form.locator(f"[name='{name}']").fill(value)
    house.send_signed_out(tab, form.get_by_role("button", name="Save", exact=True), people.fred)
    expect(tab.locator("[data-draft-state]")).to_contain_text("Your draft is back")
    for name, value in typed.items():
        expect(form.locator(f"[name='{name}']")).to_have_value(value)


def test_one_more_contact_is_not_yet_saved(house: House, people: People) -> None:
    tab = house.open("/sign-in?next=/customers/new")
    house.sign_in(tab, people.carol)
    tab.fill("#name", "Quince GmbH")
    tab.fill("#notes", "Calls on Mondays.")
    tab.get_by_role("button", name="One more contact").click()
    expect(tab.locator("[name='contacts-1-name']")).to_be_visible()
    until_it_listens(tab)
    tab.fill("[name='contacts-1-name']", "Ada")
    house.send_signed_out(tab, tab.get_by_role("button", name="Save", exact=True), people.carol)
    expect(tab).to_have_url(f"{house.url}/customers/new")
    expect(tab.locator("[name='contacts-1-name']")).to_have_value("Ada")
    expect(tab.locator("#name")).to_have_value("Quince GmbH")
    expect(tab.locator("#notes")).to_have_value("Calls on Mondays.")


def test_a_resolution_is_there_again_and_seen(house: House, people: People) -> None:
    tab = house.open("/sign-in?next=/records/R-000001")
    house.sign_in(tab, people.carol)
    tab.locator("details.resolve summary").click()
    tab.fill("#resolution", "The tray was cleaned.")
    house.send_signed_out(tab, tab.locator("details.resolve").get_by_role("button", name="Resolve"), people.carol)
    expect(tab.locator("#resolution")).to_be_visible()
    expect(tab.locator("#resolution")).to_have_value("The tray was cleaned.")


def test_what_one_types_is_never_saved_as_another(house: House, people: People) -> None:
    tab = house.open("/sign-in?next=/records/R-000001")
    house.sign_in(tab, people.carol)
    tab.fill("#body", "Carol thinks so")
    house.sign_out()
    other = house.open("/sign-in")
    house.sign_in(other, people.erin)
    tab.get_by_role("button", name="Save as internal note").click()
    expect(tab.locator("h1")).to_have_text("Nothing was saved")
    expect(tab.locator(".lead")).to_contain_text("was opened before you signed in as Erin")
    assert db.session.scalars(select(Entry).where(Entry.body == "Carol thinks so")).all() == []
    tab.get_by_role("link", name="Open the page again").click()
    expect(tab).to_have_url(f"{house.url}/records/R-000001")
    expect(tab.locator("#body")).to_have_value("")
    house.sign_out()
    tab.goto(f"{house.url}/sign-in?next=/records/R-000001")
    house.sign_in(tab, people.carol)
    expect(tab.locator("#body")).to_have_value("Carol thinks so")


def test_signing_out_twice_is_no_mistake(house: House, people: People) -> None:
    tab = house.open("/sign-in")
    house.sign_in(tab, people.alice)
    tab.locator("details.menu", has_text="Sign out").locator("summary").click()
    house.sign_out()
    tab.get_by_role("button", name="Sign out", exact=True).click()
    expect(tab.get_by_role("link", name="Sign in", exact=True)).to_be_visible()
    expect(tab).to_have_url(f"{house.url}/")
