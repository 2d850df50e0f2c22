"""Who else is looking: told by open pages, shown to colleagues, forgotten within the minute, never a customer's."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from portal import audit, outbox
from portal.accounts import users
from portal.accounts.models import User
from portal.errors import Conflict, Missing
from portal.extensions import db, now
from portal.search.current import EXTENSION
from portal.service import entries, presence, records
from portal.service.models import Entry, Presence
from tests.service.engines import QuietEngine


@pytest.fixture(autouse=True)
def engine(app):
    app.extensions[EXTENSION] = QuietEngine()


@pytest.fixture
def asked(people):
    return records.create(by=people.alice.viewer, subject="It does not print", description="Since Monday.")


@pytest.fixture
def at(asked):
    return f"/records/{asked.number}"


def colleagues(person, record):
    return [(one.name, one.is_answering) for one in presence.load_colleagues(person.viewer, record)]


def status_of(page):
    return " ".join(
        re.sub(r"<[^>]+>", " ", re.search(r'role="status"[^>]*>(.*?)</div>', page.text, re.DOTALL)[1]).split()
    )


def test_colleagues_see_each_other_and_who_is_answering_comes_first(people, asked):
    presence.note(asked, by=people.carol.viewer, is_answering=False)
    presence.note(asked, by=people.dora.viewer, is_answering=True)
    assert colleagues(people.erin, asked) == [("Dora", True), ("Carol", False)]
    assert colleagues(people.carol, asked) == [("Dora", True)]
    presence.leave(asked, by=people.dora.viewer)
    assert colleagues(people.erin, asked) == [("Carol", False)]


def test_another_tab_that_only_looks_does_not_end_the_answering(people, asked):
    presence.note(asked, by=people.carol.viewer, is_answering=True)
    presence.note(asked, by=people.carol.viewer, is_answering=False)
    assert colleagues(people.dora, asked) == [("Carol", True)]


def test_what_is_not_told_again_runs_out_and_is_cleared_away(people, asked, monkeypatch):
    presence.note(asked, by=people.carol.viewer, is_answering=True)
    later = now() + presence.LIVES + timedelta(seconds=1)
    monkeypatch.setattr(presence, "now", lambda: later)
    assert colleagues(people.dora, asked) == []
    presence.note(asked, by=people.dora.viewer, is_answering=False)
    assert db.session.scalars(select(Presence.user_id)).all() == [people.dora.user_id]
    monkeypatch.setattr(presence, "now", lambda: later + presence.LIVES + timedelta(seconds=1))
    presence.forget_old()
    assert db.session.scalars(select(Presence.user_id)).all() == []


def test_the_answering_ends_before_the_looking(people, asked, monkeypatch):
    presence.note(asked, by=people.carol.viewer, is_answering=True)
    later = now() + presence.LIVES + timedelta(seconds=1)
    monkeypatch.setattr(presence, "now", lambda: later)
    presence.note(asked, by=people.carol.viewer, is_answering=False)
    assert colleagues(people.dora, asked) == [("Carol", False)]


def test_telling_is_no_change_of_the_record(people, asked, query_count):
    def stands():
        db.session.refresh(asked)
        noted = db.session.scalar(select(func.count(audit.AuditEntry.id)))
        return asked.version, outbox.version_of("record", asked.id), noted

    before = stands()
    with query_count() as count:
        presence.note(asked, by=people.carol.viewer, is_answering=True)
    assert count.value <= 4
    assert stands() == before


def test_a_disabled_colleague_and_a_customer_are_nobody(people, asked):
    presence.note(asked, by=people.carol.viewer, is_answering=False)
    assert colleagues(people.alice, asked) == []
    users.disable(db.session.get(User, people.carol.user_id), by=people.fred.viewer)
    assert colleagues(people.dora, asked) == []


def test_a_record_deleted_meanwhile_is_missing(people, asked):
    records.delete(asked, by=people.fred.viewer)
    with pytest.raises(Missing):
        presence.note(asked, by=people.carol.viewer, is_answering=False)


def test_the_page_says_at_load_who_has_it_open_and_its_telling_answers_the_same(people, client_for, asked, at):
    carol, dora = client_for(people.carol), client_for(people.dora)
    assert status_of(carol.get(at)) == ""
    answer = dora.post(at + "/presence", data={"answering": "1"})
    assert answer.status_code == 200
    assert "Carol" not in answer.text
    assert "Dora is answering" in status_of(carol.get(at))
    assert "Dora is answering" in carol.post(at + "/presence").text
    assert "Carol has this request open" in dora.post(at + "/presence").text
    assert dora.post(at + "/presence", data={"left": "1"}).status_code == 204
    assert status_of(carol.get(at)) == ""


def test_customers_are_told_nothing_and_cannot_tell(people, client_for, asked, at):
    presence.note(asked, by=people.carol.viewer, is_answering=True)
    alice = client_for(people.alice)
    page = alice.get(at).text
    assert "Carol" not in page
    assert "presence" not in page
    assert alice.post(at + "/presence").status_code == 403
    assert db.session.scalars(select(Presence.user_id)).all() == [people.carol.user_id]


# Answering over a newer answer


def seen_by(page):
    return re.search(r'name="seen"[^>]*value="(\d+)"', page.text)[1]


def test_an_answer_over_a_newer_one_is_held_back_with_both_in_sight(people, client_for, asked, at):
    carol = client_for(people.carol)
    seen = seen_by(carol.get(at))
    entries.reply(asked, by=people.dora.viewer, body="Please restart <it>.")
    answer = carol.post(at + "/entries", data={"kind": "reply", "body": "Turn it off and on.", "seen": seen})
    assert answer.status_code == 409
    assert "While you wrote, Dora answered" in answer.text
    assert answer.text.count("Please restart &lt;it&gt;.") == 2
    assert ">Turn it off and on.</textarea>" in answer.text.replace("\r\n", "")
    assert [e.body for e in db.session.scalars(select(Entry).where(Entry.kind == "reply"))] == ["Please restart <it>."]
    again = carol.post(at + "/entries", data={"kind": "reply", "body": "As Dora says.", "seen": seen_by(answer)})
    assert again.status_code == 303
    assert "As Dora says." in carol.get(at).text


def test_a_resolution_over_a_newer_answer_is_held_back_too(people, client_for, asked, at):
    carol = client_for(people.carol)
    seen = seen_by(carol.get(at))
    entries.reply(asked, by=people.alice.viewer, body="It smokes now!")
    answer = carol.post(at + "/resolution", data={"resolution": "Turned it on.", "seen": seen})
    assert answer.status_code == 409
    assert "While you wrote, Alice answered" in answer.text
    assert answer.text.count("It smokes now!") == 2
    assert ">Turned it on.</textarea>" in answer.text.replace("\r\n", "")
    db.session.refresh(asked)
    assert asked.state == "new"
    again = carol.post(at + "/resolution", data={"resolution": "Replaced it.", "seen": seen_by(answer)})
    assert again.status_code == 303
    db.session.refresh(asked)
    assert (asked.state, asked.resolution) == ("resolved", "Replaced it.")


def test_ones_own_answer_and_a_change_of_state_hold_nothing_back(people, asked):
    entries.reply(asked, by=people.carol.viewer, body="One", state="waiting", seen=0)
    entries.reply(asked, by=people.carol.viewer, body="Two", seen=0)
    with pytest.raises(Conflict):
        entries.reply(asked, by=people.dora.viewer, body="Three", seen=0)
    entries.reply(asked, by=people.alice.viewer, body="From the customer")
    with pytest.raises(Conflict):
        entries.reply(asked, by=people.carol.viewer, body="Four", seen=0)


def test_the_same_form_sent_twice_is_still_one_answer(people, asked):
    first = entries.reply(asked, by=people.carol.viewer, body="One", submission="f1", seen=0)
    entries.reply(asked, by=people.dora.viewer, body="Two")
    assert entries.reply(asked, by=people.carol.viewer, body="One", submission="f1", seen=0).id == first.id


def test_a_refused_answer_keeps_what_it_began_from(people, client_for, asked, at):
    carol = client_for(people.carol)
    seen = seen_by(carol.get(at))
    entries.reply(asked, by=people.dora.viewer, body="Meanwhile")
    refused = carol.post(at + "/entries", data={"kind": "reply", "body": "", "seen": seen})
    assert refused.status_code == 422
    assert seen_by(refused) == seen


def test_a_made_up_mark_of_what_was_seen_holds_nothing_back(people, client_for, asked, at):
    carol = client_for(people.carol)
    for seen in ("", "x", "-1", "9" * 40, "٣"):
        answer = carol.post(at + "/entries", data={"kind": "reply", "body": "Hello", "seen": seen})
        assert answer.status_code == 303
