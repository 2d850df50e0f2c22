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
