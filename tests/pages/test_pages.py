"""What every page shares: language, theme, addresses, dates, headers, errors."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import pages
from tests.pages.style_guide import STATUSES

MOMENT = datetime(2026, 11, 21, 22, 5, tzinfo=UTC)


def language_of_page(client: FlaskClient, path: str = "/knowledge", **headers: str) -> str:
    html = client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}).text
    found = re.search(r'<html lang="([^"]+)"', html)
    assert found is not None
    return found[1]


# Language


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-TW", "zh-Hans"),
        ("zh-Hant-HK", "zh-Hans"),
        ("zh-Hans", "zh-Hans"),
        ("en-GB", "en"),
        ("fr,zh;q=0.5", "zh-Hans"),
        ("fr", "en"),
        ("zhuang", "en"),
        ("", "en"),
        ("\x80;;q=x,", "en"),
    ],
)
def test_the_browsers_language_is_followed(client: FlaskClient, asked: str, shown: str) -> None:
    assert language_of_page(client, Accept_Language=asked) == shown


def test_a_chosen_language_stays_and_outranks_the_browser(client: FlaskClient) -> None:
    client.get("/knowledge?lang=zh-TW")
    assert language_of_page(client, Accept_Language="en") == "zh-Hans"
    client.get("/knowledge?lang=en")
    assert language_of_page(client, Accept_Language="zh") == "en"


def test_switching_the_language_keeps_the_page_and_its_words(client: FlaskClient) -> None:
    answer = client.get("/search?q=%E6%B0%B4+pot&tag=a&tag=b&page=3&lang=zh")
    assert answer.status_code == 303
    assert answer.location == "/search?q=%E6%B0%B4+pot&tag=a&tag=b&page=3"


def test_an_unknown_language_changes_nothing(client: FlaskClient) -> None:
    assert "Set-Cookie" not in client.get("/knowledge?lang=xx").headers


@pytest.mark.parametrize("path", ["//evil.example/?lang=zh", "/\\evil.example/?lang=zh", "/%5Cevil.example?theme=dark"])
def test_choosing_never_leads_to_another_site(client: FlaskClient, path: str) -> None:
    answer = client.get("http://localhost" + path)
    assert not re.match(r"(https?:)?[/\\]{2}(?!localhost)", answer.headers.get("Location", "/")), answer.location


# Theme


@pytest.mark.parametrize(("theme", "attribute"), [("dark", ' data-theme="dark"'), ("light", ' data-theme="light"')])
def test_the_theme_is_in_the_first_byte_so_nothing_flashes(client: FlaskClient, theme: str, attribute: str) -> None:
    assert client.get(f"/knowledge?theme={theme}").status_code == 303
    assert f'<html lang="en"{attribute}>' in client.get("/knowledge").text


def test_the_systems_theme_needs_no_attribute(client: FlaskClient) -> None:
    client.get("/knowledge?theme=dark")
    client.get("/knowledge?theme=auto")
    assert '<html lang="en">' in client.get("/knowledge").text


def test_a_made_up_theme_is_ignored(client: FlaskClient) -> None:
    client.set_cookie("theme", '"><script>')
    assert "<script>" not in client.get("/knowledge").text


# Addresses


def test_here_changes_parameters_and_begins_at_the_first_page(guide: Flask) -> None:
    with guide.test_request_context("/search?q=a&tag=x&tag=y&page=4"):
        assert pages.here(tag=["x"]) == "/search?q=a&tag=x"
        assert pages.here(page=5) == "/search?q=a&tag=x&tag=y&page=5"
        assert pages.here(q=None, tag=None) == "/search"
        assert pages.here(sort="newest") == "/search?q=a&tag=x&tag=y&sort=newest"


def test_the_navigation_shows_what_the_viewer_may_open(client: FlaskClient) -> None:
    def rooms(role: str) -> list[str]:
        nav = re.search(r'<nav class="masthead__nav".*?</nav>', client.get(f"/style-guide?as={role}").text, re.DOTALL)
        return re.findall(r'href="(/\w+)"', nav[0]) if nav else []

    assert rooms("anonymous") == ["/knowledge"]
    assert rooms("customer") == ["/knowledge", "/requests"]
    assert rooms("agent") == ["/knowledge", "/desk", "/customers"]
    assert rooms("admin") == ["/knowledge", "/desk", "/customers", "/reports", "/admin"]


@pytest.mark.parametrize(
    ("role", "path", "room"),
    [("agent", "/records", "/desk"), ("customer", "/records", "/requests"), ("agent", "/me", "")],
)
def test_the_navigation_marks_the_room_one_is_in(client: FlaskClient, role: str, path: str, room: str) -> None:
    html = client.get(f"{path}?as={role}").text
    assert re.findall(r'<a href="(/\w+)"[^>]*aria-current="page"', html) == ([room] if room else [])


# Dates and numbers


@pytest.mark.parametrize(
    ("language", "moment", "day", "number", "span", "size"),
    [
        ("en", "22 Nov 2026, 06:05", "22 Nov 2026", "1,204", "3 hours", "1.5 MB"),
        ("zh", "2026年11月22日 06:05", "2026年11月22日", "1,204", "3小时", "1.5 MB"),
    ],
)
def test_dates_and_numbers_follow_language_and_zone(
    guide: Flask, language: str, moment: str, day: str, number: str, span: str, size: str
) -> None:
    cookies = {"Cookie": f"language={language}; zone=Asia/Shanghai"}
    with guide.test_request_context("/", headers=cookies):
        assert pages.show_datetime(MOMENT) == moment
        assert pages.show_date(MOMENT) == day
        assert pages.show_date(date(2026, 11, 22)) == day
        assert pages.show_number(1204) == number
        assert pages.show_timedelta(timedelta(hours=3)) == span
        assert pages.show_filesize(1_500_000) == size


def test_a_made_up_zone_is_utc(guide: Flask) -> None:
    with guide.test_request_context("/", headers={"Cookie": "zone=../../etc/passwd"}):
        assert pages.show_datetime(MOMENT) == "21 Nov 2026, 22:05"


def test_nothing_shows_as_nothing(guide: Flask) -> None:
    with guide.test_request_context("/"):
        shown = [pages.show_datetime(None), pages.show_date(None), pages.show_ago(None), pages.show_number(None)]
        assert shown == [""] * 4


@pytest.mark.parametrize(("name", "letters"), [("Ada Lovelace", "AL"), ("王小明", "明"), ("prince", "P"), (" ", "?")])
def test_initials(name: str, letters: str) -> None:
    assert pages.initials(name) == letters


# Headers


@pytest.mark.parametrize("path", ["/knowledge", "/nowhere", "/style-guide/error/500"])
def test_every_page_is_guarded(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Cookie" in headers["Vary"]


# Errors


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("status", STATUSES)
def test_each_error_says_what_happened_and_leads_on(client: FlaskClient, status: int, language: str) -> None:
    client.set_cookie("language", language)
    answer = client.get(f"/style-guide/error/{status}")
    heading = re.search(r"<h1>(.+?)</h1>", answer.text)
    lead = re.search(r'<p class="lead">(.+?)</p>', answer.text)
    assert answer.status_code == status
    assert heading is not None
    assert lead is not None
    assert f"<title>{heading[1]} · Casebook</title>" in answer.text
    assert bool(re.search(r"[\u4e00-\u9fff]", heading[1] + lead[1])) == (language == "zh")
    assert 'href="/"' in answer.text


# Forms


def test_a_wrong_form_says_so_in_the_title_the_summary_and_beside_the_field(client: FlaskClient) -> None:
    html = client.get("/style-guide?wrong=1").text
    assert "<title>Error: Style guide" in html
    assert '<li><a href="#subject">Write a subject, a few words are enough.</a></li>' in html
    field = re.search(r'<input[^>]*id="subject"[^>]*>', html)
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert 'aria-describedby="subject-error"' in field[0]
    assert re.search(r'id="subject-error">.*Write a subject', html)
