"""The desk and asking in a real browser: what appears while one types, keys, drafts, and every page for everybody."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from unittest.mock import Mock

import pytest
from playwright.sync_api import Page, expect

from portal.customers import customers
from portal.customers.contacts import ContactDraft
from portal.extensions import db
from portal.service import entries, presence, records
from portal.service.models import Entry, Record
from tests.journeys.conftest import DESKTOP, open_as, serving
from tests.journeys.test_accessibility import LOOKS, complaints
from tests.people import Person

Open = Callable[..., Page]


@dataclass(frozen=True)
class Desk:
    """A portal with a few records and articles, listening on a port."""

    url: str
    open_page: Open

    def as_person(self, person: Person, path: str, **look: object) -> Page:
        """Open a page as somebody who signed in the way people do."""
        return open_as(person, self.open_page, self.url, path, **look)


@pytest.fixture
def desk(app, people, library, open_page: Open) -> Iterator[Desk]:
    library.write("Why does the printer say paper jam?", "Open tray two and pull the sheet out.")
    library.write("How do I order paper?", "From the shop.")
    records.create(by=people.bob.viewer, subject="Printer shows paper jam all day", description="Tray two again.")
    mine = records.create(by=people.alice.viewer, subject="Paper jam in the printer", description="Since Monday.")
    entries.note(mine, by=people.carol.viewer, body="Looks like the roller.")
    entries.reply(mine, by=people.carol.viewer, body="Is the tray full?", state="waiting")
    customers.create(
        by=people.carol.viewer,
        name="Gamma Tools",
        contacts=[ContactDraft(name="Li Wei", emails=["li@example.com"], phones=["+886223456789"])],
    )
    library.catch_up()
    with serving(app) as url:
        yield Desk(url, open_page)


def test_articles_appear_while_a_request_is_typed(desk, people) -> None:
    page = desk.as_person(people.alice, "/ask")
    page.locator("#subject").press_sequentially("paper jam", delay=20)
    expect(page.locator("#answers a").first).to_have_text("Why does the printer say paper jam?")
    page.fill("#description", "It smokes.")
    page.get_by_role("button", name="Send the request").click()
    expect(page.locator(".flash--success")).to_contain_text("R-000003")
    expect(page.locator(".timeline")).to_contain_text("It smokes.")


def test_what_was_typed_comes_back_and_goes_once_it_was_sent(desk, people) -> None:
    page = desk.as_person(people.alice, "/ask")
    page.fill("#subject", "Half a thought")
    page.locator("#description").focus()
    page.goto(desk.url + "/requests")
    page.goto(desk.url + "/ask")
    expect(page.locator("#subject")).to_have_value("Half a thought")
    page.get_by_role("button", name="Send the request").click()
    page.wait_for_url("**/records/R-000003")
    page.goto(desk.url + "/ask", wait_until="networkidle")
    expect(page.locator("#subject")).to_have_value("")


@pytest.mark.parametrize("fault", ["no room", "no answer"])
def test_what_was_typed_outlives_a_save_that_failed(desk, people, monkeypatch, fault) -> None:
    page = desk.as_person(people.alice, "/ask")
    page.fill("#subject", "It smokes")
    page.fill("#description", "Since Monday.")
    if fault == "no room":
        monkeypatch.setattr(records, "create", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        page.get_by_role("button", name="Send the request").click()
        expect(page.locator(".lead")).to_contain_text("nothing was saved")
    else:
        page.route("**/ask", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
        with page.expect_event("requestfailed"):
            page.get_by_role("button", name="Send the request").click()
        page.wait_for_url("chrome-error://**", wait_until="commit")
    page.goto(desk.url + "/ask")
    expect(page.locator("#subject")).to_have_value("It smokes")
    expect(page.locator("#description")).to_have_value("Since Monday.")


def test_an_agent_walks_through_the_queue_by_keys(desk, people) -> None:
    page = desk.as_person(people.carol, "/desk?queue=all&sort=number")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tbody tr.is-current")).to_contain_text("R-000002")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**/records/R-000001")


def test_several_requests_are_selected_by_keys_changed_and_put_back(desk, people) -> None:
    page = desk.as_person(people.carol, "/desk?queue=all&sort=number")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-selected]")).to_have_text("1")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("[data-selected]")).to_have_text("2")
    page.get_by_label("Select R-000001").uncheck()
    expect(page.get_by_label("Select all on this page")).not_to_be_checked()
    page.get_by_label("Select R-000001").check()
    assert complaints(page) == []
    page.locator("#priority").select_option("urgent")
    page.get_by_role("button", name="Change them").click()
    expect(page.locator(".notice--success")).to_contain_text("2 requests were changed.")
    assert complaints(page) == []
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    expect(page.locator(".notice--success")).to_contain_text("2 requests were changed.")
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody")).not_to_contain_text("Urgent")


def test_similar_cases_and_articles_come_by_themselves_and_are_linked_in_place(desk, people) -> None:
    page = desk.as_person(people.carol, "/records/R-000002")
    beside = page.locator("aside")
    expect(beside.get_by_role("link", name="Printer shows paper jam all day")).to_be_visible()
    expect(beside.get_by_role("link", name="Why does the printer say paper jam?")).to_be_visible()
    beside.get_by_role("button", name="Link").first.click()
    expect(page.locator("#linked-title + ul")).to_contain_text("Why does the printer say paper jam?")


def test_a_note_stays_inside_and_a_reply_goes_out(desk, people) -> None:
    page = desk.as_person(people.carol, "/records/R-000002")
    page.fill("#body", "Between us")
    page.get_by_role("button", name="Save as internal note").click()
    expect(page.locator(".entry--note").last).to_contain_text("Between us")
    page.fill("#body", "Try the roller")
    page.get_by_role("button", name="Send to the customer").click()
    expect(page.locator(".entry--reply").last).to_contain_text("Try the roller")
    seen = desk.as_person(people.alice, "/records/R-000002").locator("main").inner_text()
    assert "Try the roller" in seen
    assert "Between us" not in seen
    assert "roller." not in seen


def test_colleagues_see_each_other_and_no_answer_goes_over_another(desk, people, monkeypatch) -> None:
    monkeypatch.setattr(presence, "EVERY_S", 1)
    monkeypatch.setattr(presence, "LIVES", timedelta(seconds=6))
    page = desk.as_person(people.carol, "/records/R-000002")
    other = desk.as_person(people.dora, "/records/R-000002")
    seen = page.locator(".presence")
    expect(other.locator(".presence")).to_contain_text("Carol has this request open")
    expect(seen).to_contain_text("Dora has this request open")
    other.fill("#body", "It is the roller")
    expect(seen).to_contain_text("Dora is answering")
    page.fill("#body", "Perhaps the roller")
    other.get_by_role("button", name="Send to the customer").click()
    expect(other.locator(".entry--reply").last).to_contain_text("It is the roller")
    other.goto(desk.url + "/desk")
    expect(seen).not_to_contain_text("Dora")
    page.get_by_role("button", name="Send to the customer").click()
    expect(page.locator(".notice--warning")).to_contain_text("While you wrote, Dora answered")
    expect(page.locator(".notice--warning")).to_contain_text("It is the roller")
    expect(page.locator("#body")).to_have_value("Perhaps the roller")
    assert complaints(page) == []
    page.get_by_role("button", name="Send to the customer").click()
    expect(page.locator(".entry--reply").last).to_contain_text("Perhaps the roller")


def test_a_caller_is_found_while_the_number_is_typed(desk, people) -> None:
    page = desk.as_person(people.carol, "/records/new")
    page.locator("#caller").press_sequentially("02 2345 6789", delay=15)
    page.locator("#callers").get_by_role("link", name="Gamma Tools").click()
    expect(page.locator("#customer_id")).to_have_value(page.locator("#customer_id option").last.get_attribute("value"))
    page.fill("#subject", "It rattles")
    page.get_by_role("button", name="Open the request").click()
    page.wait_for_url("**/records/R-000003")
    expect(page.get_by_role("complementary").or_(page.locator(".page__rail")).first).to_be_attached()
    assert db.session.query(Record).filter_by(number="R-000003").one().customer.name == "Gamma Tools"


def test_everything_works_without_scripts(desk, people) -> None:
    page = desk.as_person(people.alice, "/ask", javascript=False)
    page.fill("#subject", "paper jam")
    page.get_by_role("button", name="Look for answers first").click()
    expect(page.locator("#answers a").first).to_be_visible()
    page.get_by_role("button", name="Send the request").click()
    page.fill("#body", "One more thing")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".timeline")).to_contain_text("One more thing")
    agent = desk.as_person(people.carol, "/records/R-000002", javascript=False)
    agent.get_by_role("link", name="Similar cases and articles").click()
    expect(agent.get_by_role("link", name="Printer shows paper jam all day")).to_be_visible()
    assert db.session.query(Entry).filter_by(body="One more thing").count() == 1


STAFF = (
    "/desk",
    "/desk?queue=mine",
    "/records/R-000002",
    "/records/R-000002/details?caller=gamma",
    "/records/R-000002/similar",
    "/records/new?caller=gamma",
    "/customers",
    "/customers?q=nobody-at-all",
    "/customers/3",
    "/customers/3/profile",
)
CUSTOMER = ("/ask", "/requests", "/requests?queue=finished", "/records/R-000002")


@pytest.mark.parametrize(
    ("language", "theme", "size"), LOOKS, ids=["en-light-desktop", "zh-dark-desktop", "en-dark-phone", "zh-light-phone"]
)
def test_every_page_of_the_desk_is_for_everybody(desk, people, language, theme, size) -> None:
    found = {}
    for person, paths in ((people.carol, STAFF), (people.alice, CUSTOMER)):
        page = desk.as_person(person, paths[0], language=language, theme=theme, size=size)
        for path in paths:
            answer = page.goto(desk.url + path, wait_until="networkidle")
            found[path] = complaints(page) if answer is not None and answer.ok else [f"answered {answer}"]
    assert {path: said for path, said in found.items() if said} == {}


def test_a_refused_form_leads_to_its_fields(desk, people) -> None:
    page = desk.as_person(people.carol, "/customers/new", size=DESKTOP)
    page.fill("#contacts-0-emails", "nonsense")
    page.get_by_role("button", name="Save").click()
    summary = page.locator("#error-summary")
    expect(summary).to_be_focused()
    expect(page).to_have_title("Error: New customer · Casebook")
    assert complaints(page) == []
    summary.get_by_role("link").first.click()
    expect(page.locator("#name")).to_be_focused()
