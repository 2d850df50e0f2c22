"""Finding something, from the first page to the article, as people do it: on the demo, in a browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PHONE, House

Open = Callable[..., Page]


def test_the_search_box_comes_first_and_is_the_largest(open_page: Open, live_server: House) -> None:
    page = open_page(live_server.url)
    box = page.locator("#q-large")
    expect(box).to_be_focused()
    areas = page.locator("main input, main a, main button").evaluate_all(
        "all => all.map(e => { const r = e.closest('.searchbox') ?? e; return r.offsetWidth * r.offsetHeight })"
    )
    area = box.evaluate("e => e.closest('.searchbox').offsetWidth * e.closest('.searchbox').offsetHeight")
    assert area == max(areas)
    assert box.bounding_box()["y"] < 400  # type: ignore[index]


def test_typing_offers_titles_and_the_chosen_one_opens(open_page: Open, live_server: House) -> None:
    page = open_page(live_server.url)
    page.locator("#q-large").press_sequentially("firmw", delay=30)
    options = page.locator("#q-large-suggestions [role=option]")
    expect(options.first).to_be_visible()
    title = options.first.locator("span").inner_text()
    assert "firmw" in title.lower()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(title)


@pytest.mark.parametrize("javascript", [True, False])
def test_words_filters_order_and_pages_live_in_the_address(
    open_page: Open, live_server: House, javascript: bool
) -> None:
    page = open_page(live_server.url, javascript=javascript)
    page.locator("#q-large").fill("printer")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=printer")
    everything = page.locator("h1").inner_text()
    page.locator(".facet a", has_text="Case study").first.click()
    page.wait_for_url(re.compile(r"kind=case_study"))
    expect(page.locator(".chip")).to_have_count(1)
    assert page.locator("h1").inner_text() != everything
    page.get_by_role("link", name="Newest").click()
    page.wait_for_url(re.compile(r"q=printer.*sort=newest|sort=newest.*q=printer"))
    expect(page.locator("#q")).to_have_value("printer")
    page.reload()
    expect(page.locator(".chip")).to_have_count(1)
    page.locator(".chip").click()
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator("h1")).to_have_text(everything)
    page.go_back()
    expect(page.locator(".chip")).to_have_count(1)


@pytest.mark.parametrize(("words", "marked"), [("打印机", "打印机"), ("printer", "printer"), ("打印機", "打印机")])
def test_hits_are_marked_and_lead_to_what_matched(open_page: Open, live_server: House, words: str, marked: str) -> None:
    page = open_page(f"{live_server.url}/search?q={words}", language="zh")
    marks = [text.lower() for text in page.locator(".hit mark").all_inner_texts()]
    assert marked in marks
    page.locator(".hit__title a").first.click()
    expect(page.locator("h1")).to_be_visible()
    assert "/search" not in page.url


def test_finding_nothing_says_so_and_leads_to_a_person_with_the_words(open_page: Open, live_server: House) -> None:
    page = open_page(f"{live_server.url}/search?q=xqzzv", cookies=live_server.cookies["customer"])
    expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
    page.get_by_role("link", name="Ask our support").click()
    expect(page.locator("#subject")).to_have_value("xqzzv")


def test_on_a_phone_the_filters_wait_behind_one_button(open_page: Open, live_server: House) -> None:
    page = open_page(f"{live_server.url}/search?q=printer", size=PHONE)
    expect(page.locator(".facet").first).to_be_hidden()
    page.get_by_text("Filters", exact=True).click()
    expect(page.locator(".facet").first).to_be_visible()


def test_the_language_switch_keeps_the_article(open_page: Open, live_server: House) -> None:
    page = open_page(f"{live_server.url}/search?q=firmware&kind=faq")
    page.locator(".hit__title a").first.click()
    page.wait_for_url("**/articles/**")
    address = page.url
    page.get_by_role("link", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert page.url == address


def test_all_values_of_a_facet_come_in_place_and_narrow_as_one_types(open_page: Open, live_server: House) -> None:
    page = open_page(f"{live_server.url}/search?q=printer")
    tags = page.locator(".facet", has=page.locator("summary", has_text="Tag")).first
    shown = tags.locator("li").count()
    more = tags.get_by_role("link", name="Show all")
    # The link leads to a page of its own until the behaviour is in place.
    expect(more).to_have_attribute("aria-expanded", "false")
    more.click()
    field = tags.get_by_label("Narrow the list")
    expect(field).to_be_focused()
    expect(tags.locator("li").nth(shown)).to_be_visible()
    name = tags.locator(".facet__label").last.inner_text()
    field.fill(name)
    expect(tags.locator("li")).to_have_count(1)
    expect(tags.locator(".facet__label")).to_have_text(name)
    count = tags.locator(".facet__count").inner_text()
    tags.locator("li a").click()
    page.wait_for_url(re.compile(r"tag="))
    expect(page.locator("h1")).to_have_text(re.compile(rf"^\s*{count} results? for"))


def test_all_values_of_a_facet_narrow_without_javascript(open_page: Open, live_server: House) -> None:
    page = open_page(f"{live_server.url}/search?q=printer&kind=faq", javascript=False)
    page.locator("a.facet__all[href*='/facets/tag']").click()
    page.wait_for_url("**/search/facets/tag?**")
    everything = page.locator(".facet--all li").count()
    name = page.locator(".facet--all .facet__label").last.inner_text()
    page.get_by_label("Narrow the list").fill(name)
    page.get_by_role("button", name="Narrow").click()
    page.wait_for_url(re.compile(r"find="))
    assert page.locator(".facet--all li").count() < everything
    page.locator(".facet--all li a").first.click()
    page.wait_for_url(re.compile(r"/search\?.*kind=faq"))
    expect(page.locator(".chip")).to_have_count(2)


@pytest.mark.parametrize("javascript", [True, False])
def test_two_days_are_a_period_that_can_be_taken_away(open_page: Open, live_server: House, javascript: bool) -> None:
    page = open_page(f"{live_server.url}/search?q=printer&kind=faq", javascript=javascript)
    page.locator("input[name=updated_from]").fill("2020-01-01")
    page.locator("input[name=updated_to]").fill("2020-01-02")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"updated=2020-01-01\.\.2020-01-02"))
    expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
    expect(page.locator(".chip")).to_have_count(2)
    page.locator(".chip", has_text="2020-01-01").click()
    page.wait_for_url(re.compile(r"search\?q=printer&kind=faq$"))
    expect(page.locator(".hit").first).to_be_visible()


def test_an_empty_box_offers_ones_latest_searches_when_asked(open_page: Open, live_server: House) -> None:
    page = open_page(live_server.url, cookies=live_server.cookies["customer"])
    # The role comes with the behaviour that answers the key.
    expect(page.locator("#q-large")).to_have_attribute("role", "combobox")
    expect(page.locator("#q-large")).to_be_focused()
    options = page.locator("#q-large-suggestions [role=option]")
    expect(options).to_have_count(0)
    page.keyboard.press("ArrowDown")
    expect(options.first).to_be_visible()
    expect(options.first).to_contain_text("Searched by you")
