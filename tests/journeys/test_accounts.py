"""Accounts in a real browser: signing in with two steps, without JavaScript, and every page by axe."""

import re
from collections.abc import Callable, Iterator

import pyotp
import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.accounts import second_factor, tokens, users
from portal.extensions import db
from tests.journeys.conftest import DESKTOP, PHONE, follow, serving
from tests.journeys.test_accessibility import complaints
from tests.people import PASSWORD, People

Open = Callable[..., Page]


@pytest.fixture
def url(app: Flask, people: People) -> Iterator[str]:
    with serving(app) as address:
        yield address


def sign_in(page: Page, email: str) -> None:
    page.fill("input[name=email]", email)
    page.fill("input[type=password]", PASSWORD)
    follow(page.locator("main [type=submit]"))


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
def test_carol_sets_up_a_second_factor_and_signs_in_with_it(
    open_page: Open, url: str, people: People, javascript: bool
) -> None:
    page = open_page(f"{url}/me", javascript=javascript)
    sign_in(page, people.carol.email)
    expect(page).to_have_url(f"{url}/me")
    follow(page.locator("text=Set up"))
    page.fill("input[type=password]", PASSWORD)
    follow(page.locator("main [type=submit]"))
    picture = page.locator("main img")
    if javascript:
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth > 100)")
    secret = re.sub(r"\s", "", page.inner_text(".secret code"))
    page.fill("input[name=code]", pyotp.TOTP(secret).now())
    follow(page.locator("main [type=submit]"))
    expect(page.locator(".secret li")).to_have_count(second_factor.RECOVERY_CODES)
    recovery = page.locator(".secret li").first.inner_text()
    follow(page.locator("text=I have kept them"))
    sign_in(page, people.carol.email)
    page.fill("input[name=code]", recovery)
    follow(page.locator("main [type=submit]"))
    page.goto(f"{url}/me")
    expect(page.locator("h1")).to_have_text("My account")


def test_signing_out_leaves_nothing_behind_the_back_button(open_page: Open, url: str, people: People) -> None:
    page = open_page(f"{url}/me")
    sign_in(page, people.alice.email)
    expect(page.locator("h1")).to_have_text("My account")
    page.locator("details.menu", has_text="Sign out").locator("summary").click()
    follow(page.get_by_role("button", name="Sign out", exact=True))
    page.goto(f"{url}/help", wait_until="networkidle")
    page.go_back(wait_until="networkidle")
    page.go_back(wait_until="networkidle")
    assert people.alice.email not in page.content()


def test_an_invitation_that_was_begun_is_there_again(open_page: Open, url: str, people: People) -> None:
    page = open_page(f"{url}/sign-in")
    sign_in(page, people.fred.email)
    page.goto(f"{url}/admin/users/new")
    page.fill("#name", "Zoe")
    page.locator("#email").focus()
    expect(page.locator("[data-draft-state]")).to_contain_text("Draft saved in this browser")
    follow(page.locator("main [type=submit]"))
    expect(page.locator("#name")).to_have_value("Zoe")
    page.reload()
    page.goto(f"{url}/admin/users")
    page.goto(f"{url}/admin/users/new")
    expect(page.locator("#name")).to_have_value("Zoe")
    page.fill("#email", "zoe@example.com")
    follow(page.locator("main [type=submit]"))
    expect(page.locator("h1")).to_contain_text("Zoe")
    page.goto(f"{url}/admin/users/new")
    expect(page.locator("[data-draft-state]")).to_have_text("")
    expect(page.locator("#name")).to_have_value("")


@pytest.mark.parametrize(
    ("language", "theme", "size"), [("en", "light", DESKTOP), ("zh", "dark", PHONE)], ids=["desktop", "phone"]
)
def test_every_page_of_accounts_by_axe(
    open_page: Open, url: str, people: People, language: str, theme: str, size: dict[str, int]
) -> None:
    reset = tokens.issue(people.bob.user, "reset")
    db.session.commit()
    zoe = users.invite(name="Zoe", email="zoe@example.com", role="agent", by=people.fred.viewer)
    tokens.create(people.alice.user, name="reports", by=None)
    found = {}
    page = open_page(f"{url}/sign-in", language=language, theme=theme, size=size)
    found["sign-in"] = complaints(page)
    page.fill("input[name=email]", "nobody@example.com")
    page.fill("input[type=password]", "wrong")
    follow(page.locator("main [type=submit]"))
    found["wrong"] = complaints(page)
    for path in ("/reset", f"/reset/{reset}", "/reset/nonsense"):
        page.goto(url + path)
        found[path] = complaints(page)
    page.goto(f"{url}/sign-in")
    sign_in(page, people.fred.email)
    for path in (
        "/me",
        "/me/second-factor",
        "/admin",
        "/admin/users",
        "/admin/users/new",
        f"/admin/users/{zoe.id}",
        f"/admin/users/{people.alice.user_id}",
        "/admin/audit",
        "/admin/audit?who=nobody",
    ):
        page.goto(url + path)
        found[path] = complaints(page)
    page.goto(f"{url}/admin/users/new")
    follow(page.locator("main [type=submit]"))
    found["refused"] = complaints(page)
    page.goto(f"{url}/me/second-factor")
    page.fill("input[type=password]", PASSWORD)
    follow(page.locator("main [type=submit]"))
    found["picture"] = complaints(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
