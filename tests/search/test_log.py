"""What is kept of a search, what never is, and that a log in trouble costs no search anything."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from portal.access import ANONYMOUS
from portal.extensions import db, now
from portal.search import log as search_log
from portal.search.log import EXTENSION, MOST_WAITING, Trail
from portal.search.models import SearchLog
from portal.search.privacy import ADDRESS, LONG_TEXT, NUMBER, mask
from portal.search.request import SearchRequest
from portal.search.results import SearchResult


def found(request: SearchRequest, total: int = 3) -> SearchResult:
    return SearchResult(query=request.text, engine="embedded", total=total, hits=(), took_ms=1.0)


def entries() -> list[SearchLog]:
    search_log.settle()
    db.session.expire_all()
    return list(db.session.scalars(select(SearchLog).order_by(SearchLog.id)))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("printer of ada.lovelace+x@example.com broken", f"printer of {ADDRESS} broken"),
        ("call +86 138 0013 8000 now", f"call {NUMBER} now"),
        ("(0171) 555 12 34", NUMBER),
        ("１３８００１３８０００", NUMBER),
        ("110101199003074514X", NUMBER),
        ("SN123456789012", f"SN{NUMBER}"),
        ("发票寄到 wang@例え.jp", f"发票寄到 {ADDRESS}"),
        ("Dear support, " + "my printer " * 30, LONG_TEXT),
    ],
)
def test_what_tells_a_person_is_put_out_of_sight(typed, kept) -> None:
    assert mask(typed) == kept


@pytest.mark.parametrize(
    "typed",
    ["KB3089230", "0x80070005", "10.0.0.1", "192.168.100.100/24", "ORA-00600", "5x25-40", "E-1024 12 34", "2026-01-31",
     "R-2026-000123", "打印机 脱机", "2019-2024"],
)  # fmt: skip
def test_codes_and_dates_stay(typed) -> None:
    assert mask(typed) == typed


def test_only_the_masked_words_reach_the_log(app, people, client_for) -> None:
    client_for(people.alice).get("/search?q=bob@example.com+13800138000&tag=carol@example.com")
    (entry,) = entries()
    assert (entry.words, entry.filters) == (f"{ADDRESS} {NUMBER}", {"tag": [ADDRESS]})
    assert search_log.recent(people.alice.user_id) == []


def test_a_filter_chosen_later_is_the_same_search_and_other_words_are_a_reworded_one(people, client_for) -> None:
    ann = client_for(people.ann)
    ann.get("/search?q=printer")
    ann.get("/search?q=printer&kind=faq")
    ann.get("/search?q=scanner")
    first, second = entries()
    assert (first.words, first.filters, first.is_reworded) == ("printer", {"kind": ["faq"]}, True)
    assert (second.words, second.filters, second.is_reworded) == ("scanner", {}, False)
    assert first.user_id is second.user_id is None


def test_who_opened_something_did_not_have_to_reword(people, client_for) -> None:
    ann = client_for(people.ann)
    page = ann.get("/search?q=printer").text
    token = page.split('data-search="')[1].split('"')[0]
    ann.post(f"/api/v1/searches/{token}/click?hit=article:1&rank=2")
    ann.get("/search?q=scanner")
    first, _ = entries()
    assert (first.clicked_rank, first.is_reworded) == (2, False)


def test_a_returning_browser_is_one_of_a_few_numbers_and_a_new_one_none(people, client_for) -> None:
    ann = client_for(people.ann)
    ann.get("/search?q=printer")
    ann.get("/search?q=scanner")
    first, second = entries()
    assert first.cohort is None
    assert second.cohort in range(search_log.COHORTS)


@pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
def test_a_browser_that_asks_not_to_be_followed_is_not(people, client_for, header) -> None:
    answer = client_for(people.ann).get("/search?q=printer", headers={header: "1"})
    assert answer.status_code == 200
    assert "data-search" not in answer.text
    assert "Set-Cookie" not in answer.headers
    assert entries() == []


def test_an_account_that_does_not_want_it_is_not_noted(people, client_for) -> None:
    people.alice.user.keeps_searches = False
    db.session.commit()
    client_for(people.alice).get("/search?q=printer")
    assert entries() == []


def test_a_search_does_not_touch_the_log_while_somebody_waits(app, people, client_for) -> None:
    db.session.execute(text("DROP TABLE search_log"))
    db.session.commit()
    answer = client_for(people.ann).get("/search?q=printer")
    assert answer.status_code == 200
    search_log.settle()
    assert app.extensions[EXTENSION].waiting == 1, "it is tried again"


def test_a_locked_database_delays_no_search(app, people, client_for) -> None:
    ann = client_for(people.ann)
    other = db.engine.raw_connection()
    try:
        other.cursor().execute("BEGIN IMMEDIATE")
        assert ann.get("/search?q=printer").status_code == 200
    finally:
        other.cursor().execute("ROLLBACK")
        other.close()
    assert [entry.words for entry in entries()] == ["printer"]


@pytest.mark.thorough
def test_too_many_notes_give_up_the_oldest(app) -> None:
    with app.test_request_context():
        for number in range(MOST_WAITING + 5):
            request = SearchRequest(viewer=ANONYMOUS, text=f"words {number}")
            search_log.note(request, found(request), locale="en")
        assert app.extensions[EXTENSION].waiting == MOST_WAITING


def test_a_reader_who_is_gone_takes_no_other_search_along(app, people) -> None:
    for viewer, words in ((people.alice.viewer, "of alice"), (people.bob.viewer, "of bob")):
        request = SearchRequest(viewer=viewer, text=words)
        search_log.note(request, found(request), locale="en")
    db.session.delete(people.alice.user)
    db.session.commit()
    assert [entry.words for entry in entries()] == ["of bob"]


@pytest.mark.thorough
def test_the_thread_writes_by_itself(app, people) -> None:
    app.testing = False
    request = SearchRequest(viewer=people.alice.viewer, text="by itself")
    search_log.note(request, found(request), locale="en")
    recorder = app.extensions[EXTENSION]
    assert recorder.wait_until_written(timeout_s=60)
    db.session.rollback()
    assert db.session.scalars(select(SearchLog.words)).all() == ["by itself"]


def test_what_is_older_than_the_setting_goes(app, people) -> None:
    for words in ("old", "new"):
        request = SearchRequest(viewer=people.alice.viewer, text=words)
        search_log.note(request, found(request), locale="en")
    search_log.settle()
    db.session.execute(update(SearchLog).where(SearchLog.words == "old").values(at=now() - timedelta(days=401)))
    db.session.commit()
    assert search_log.forget_old() == 1
    assert [entry.words for entry in entries()] == ["new"]


def test_nothing_is_noted_where_the_log_is_off(app, people) -> None:
    app.extensions["casebook.settings"] = replace(app.extensions["casebook.settings"], search_log_days=0)
    request = SearchRequest(viewer=people.alice.viewer, text="words")
    assert search_log.note(request, found(request), locale="en") is None


def test_a_later_note_that_came_first_is_not_overwritten(app, people) -> None:
    request = SearchRequest(viewer=people.alice.viewer, text="printer")
    noted = search_log.note(request, found(request), locale="en")
    search_log.settle()
    db.session.execute(update(SearchLog).values(at=now() + timedelta(seconds=5), words="printer offline"))
    db.session.commit()
    late = SearchRequest(viewer=people.alice.viewer, text="printer o")
    search_log.note(late, found(late), locale="en", trail=Trail(token=noted.token, words="printer", at=noted.trail.at))
    assert [entry.words for entry in entries()] == ["printer offline"]
