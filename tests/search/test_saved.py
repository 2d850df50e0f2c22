"""Saved searches: one mail a run, only what its reader may read at that moment, nothing twice, easily stopped."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from portal.errors import Invalid
from portal.extensions import db, now
from portal.knowledge import articles
from portal.search import log, saved
from portal.search.current import EXTENSION
from portal.search.engine import EngineDown
from portal.search.models import SavedSearch
from portal.search.request import SearchRequest


def keep(person, words: str, name: str = "", **filters) -> SavedSearch:
    request = SearchRequest(viewer=person.viewer, text=words, filters=filters)
    return saved.save(request, by=person.viewer, name=name or words, every="day")


def make_due() -> None:
    db.session.execute(update(SavedSearch).values(next_check_at=now() - timedelta(minutes=1)))
    db.session.commit()


def test_what_is_new_is_written_once_to_whoever_may_read_it(library, people, outgoing) -> None:
    for person in (people.alice, people.carol):
        keep(person, "printer")
    library.write("Printer on fire", "The printer burns.")
    library.write("Printer secrets", "For staff.", audience="internal")
    library.write("Network is slow", "No such word.")
    library.catch_up()
    assert saved.write_news() == 0, "nothing is due yet"
    make_due()
    assert saved.write_news() == 2
    letters = {letter.recipient: letter for letter in outgoing()}
    assert "Printer on fire" in letters["alice@example.com"].text
    assert "Printer secrets" not in letters["alice@example.com"].text
    assert "Printer secrets" in letters["carol@example.com"].text
    assert "Network" not in letters["carol@example.com"].text
    make_due()
    assert saved.write_news() == 0, "nothing is told twice"


def test_several_searches_make_one_mail_in_the_readers_language(library, people, outgoing) -> None:
    people.alice.user.locale = "zh"
    db.session.commit()
    keep(people.alice, "printer", name="打印机")
    keep(people.alice, "scanner")
    library.write("Printer on fire")
    library.write("Scanner lid")
    library.catch_up()
    make_due()
    assert saved.write_news() == 1
    (letter,) = outgoing()
    assert letter.subject == "您保存的搜索有新内容"
    assert "Printer on fire" in letter.text
    assert "Scanner lid" in letter.text
    assert "http://127.0.0.1:8000/search?q=scanner" in letter.text


def test_one_word_in_common_is_no_news(library, people, outgoing) -> None:
    keep(people.alice, "printer offline")
    library.write("Printer on fire")
    library.catch_up()
    make_due()
    assert saved.write_news() == 0
    library.write("The printer is offline again")
    library.catch_up()
    make_due()
    assert saved.write_news() == 1


def test_filters_are_kept_and_rights_are_those_of_now(library, people, outgoing) -> None:
    keep(people.carol, "printer", kind=("faq",), source=("legacy",))
    keep(people.carol, "", name="All questions", kind=("faq",))
    user = people.carol.user
    user.role = "customer"
    db.session.commit()
    library.write("Printer secrets", audience="internal")
    library.catch_up()
    make_due()
    assert saved.write_news() == 0, "neither staff's filters nor staff's articles are hers any more"


def test_who_is_disabled_or_paused_gets_nothing(library, people, outgoing) -> None:
    saved.pause(keep(people.alice, "printer"))
    keep(people.bob, "printer")
    people.bob.user.is_active = False
    db.session.commit()
    library.write("Printer on fire")
    library.catch_up()
    make_due()
    assert saved.write_news() == 0
    saved.resume(db.session.scalars(select(SavedSearch).where(SavedSearch.user_id == people.alice.user_id)).one())
    make_due()
    assert saved.write_news() == 1, "what came within the last minutes is new to her"


def test_without_an_engine_everything_waits(app, library, people, outgoing) -> None:
    keep(people.alice, "printer")
    library.write("Printer on fire")
    library.catch_up()
    make_due()

    class Dead:
        name = "embedded"

        def __getattr__(self, _name):
            def down(*_args, **_options):
                raise EngineDown("nobody answers")

            return down

    alive = app.extensions[EXTENSION]
    app.extensions[EXTENSION] = Dead()
    assert saved.write_news() == 0
    app.extensions[EXTENSION] = alive
    make_due()
    assert saved.write_news() == 1


def test_a_run_is_bounded(library, people) -> None:
    for person in (people.alice, people.bob, people.carol):
        keep(person, "printer")
    make_due()
    saved.write_news(most=2)
    waiting = select(func.count()).select_from(SavedSearch).where(SavedSearch.next_check_at <= now())
    assert db.session.scalar(waiting) == 1


def test_two_workers_write_one_mail(library, people, outgoing, monkeypatch) -> None:
    keep(people.alice, "printer")
    library.write("Printer on fire")
    library.catch_up()
    make_due()
    look = saved._look

    def look_while_another_worker_does_the_same(row, viewer):
        monkeypatch.setattr(saved, "_look", look)
        found = look(row, viewer)
        saved.write_news()
        return found

    monkeypatch.setattr(saved, "_look", look_while_another_worker_does_the_same)
    saved.write_news()
    assert len(outgoing()) == 1


@pytest.mark.parametrize(("words", "name", "every"), [("", "x", "day"), ("printer", " ", "month")])
def test_what_cannot_be_kept_is_refused(app, people, words, name, every) -> None:
    with pytest.raises(Invalid):
        saved.save(
            SearchRequest(viewer=people.alice.viewer, text=words), by=people.alice.viewer, name=name, every=every
        )


def test_nobody_keeps_more_than_the_limit(app, people, monkeypatch) -> None:
    monkeypatch.setattr(saved, "MOST_SAVED", 2)
    keep(people.alice, "one")
    keep(people.alice, "two")
    with pytest.raises(Invalid, match="Delete one"):
        keep(people.alice, "three")


@pytest.mark.thorough
def test_a_search_is_saved_renamed_paused_and_deleted_on_pages(library, people, client_for) -> None:
    alice = client_for(people.alice)
    library.write("Printer on fire")
    library.catch_up()
    results = alice.get("/search?q=printer&kind=faq")
    assert "Save this search" in results.text
    assert "Save this search" not in client_for(people.ann).get("/search?q=printer").text
    sent = alice.post("/me/searches", data={"q": "printer", "kind": "faq", "name": "Fires", "every": "hour"})
    assert sent.location == "/me/searches"
    row = db.session.scalars(select(SavedSearch)).one()
    assert (row.name, row.text, row.filters, row.every) == ("Fires", "printer", {"kind": ["faq"]}, "hour")
    assert 'href="/search?q=printer&amp;kind=faq"' in alice.get("/me/searches").text
    assert client_for(people.bob).post(f"/me/searches/{row.id}/deletion").status_code == 404
    alice.post(f"/me/searches/{row.id}", data={"name": "Smoke", "every": "week"})
    alice.post(f"/me/searches/{row.id}/pause")
    db.session.refresh(row)
    assert (row.name, row.every, row.is_paused) == ("Smoke", "week", True)
    alice.post(f"/me/searches/{row.id}/resumption")
    assert alice.post(f"/me/searches/{row.id}", data={"name": "", "every": "week"}).status_code == 422
    alice.post(f"/me/searches/{row.id}/deletion")
    assert db.session.scalars(select(SavedSearch)).all() == []
    assert alice.post("/me/searches", data={"q": "x" * 1001, "name": "x"}).status_code == 422


def test_a_mails_link_stops_the_mails_without_signing_in_and_not_by_being_looked_at(app, people, client_for) -> None:
    row = keep(people.alice, "printer")
    link = f"/saved-searches/{saved.token_of(people.alice.user_id)}/pause"
    stranger = client_for(people.ann)
    assert stranger.get(link).status_code == 200
    db.session.refresh(row)
    assert not row.is_paused
    assert stranger.post(link).status_code == 200
    db.session.refresh(row)
    assert row.is_paused
    assert stranger.post("/saved-searches/forged/pause").status_code == 404


def test_ones_searches_can_be_forgotten_and_no_longer_noted(app, people, client_for) -> None:
    alice = client_for(people.alice)
    alice.get("/search?q=printer")
    log.settle()
    assert "printer" in alice.get("/me/searches").text
    alice.post("/me/searches/forgetting")
    assert log.recent(people.alice.user_id) == []
    alice.post("/me/searches/keeping", data={"keep": "no"})
    alice.get("/search?q=scanner")
    log.settle()
    assert log.recent(people.alice.user_id) == []
    assert "Note my searches" in alice.get("/me/searches").text


def test_a_withdrawn_article_is_not_told(library, people, outgoing) -> None:
    keep(people.alice, "printer")
    article = library.write("Printer on fire")
    library.catch_up()
    articles.archive(article, by=people.dora.viewer)
    make_due()
    assert saved.write_news() == 0, "the index does not know yet, the database does"
