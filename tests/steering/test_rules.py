"""Pins and hides: what may be said, who sees what comes of it, and when it ends."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from portal import audit
from portal.access import ANONYMOUS, Forbidden, Viewer
from portal.errors import Invalid
from portal.extensions import db, now
from portal.knowledge import articles
from portal.search.answer import answer
from portal.search.request import SearchRequest
from portal.search.results import SearchResult
from portal.search.sources import registry
from portal.steering import journal, rules
from portal.steering.in_force import GuidanceInForce
from portal.steering.models import SearchRule
from tests.library import Library
from tests.people import People


@pytest.fixture
def steered(library: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library whose engine reads what is in force at every search."""
    monkeypatch.setattr(GuidanceInForce, "EVERY_S", 0.0)
    return library


@pytest.fixture
def ask(steered: Library) -> Callable[..., SearchResult]:
    def asked(text: str, viewer: Viewer = ANONYMOUS, **more: Any) -> SearchResult:
        return answer(
            SearchRequest(viewer=viewer, text=text, **more), engine=steered.engine, registry=registry(), locale="en"
        )

    return asked


def titles(result: SearchResult) -> list[str]:
    return [hit.title for hit in result.hits]


def make(people: People, article_id: int, words: str = "paper jam", **changes: Any) -> SearchRule:
    given = {"action": "pin", "words": words, "article": article_id, "reason": "Asked every day", **changes}
    return rules.save(None, by=people.dora.viewer, changes=given)


def test_a_pin_stands_first_and_leaves_with_its_time(
    steered: Library, people: People, ask: Callable[..., SearchResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    steered.write("Paper jam", "Open the lid.")
    warranty = steered.write("Warranty", "Two years.")
    steered.catch_up()
    assert titles(ask("paper jam")) == ["Paper jam"]
    soon = now() + timedelta(hours=1)
    rule = make(people, warranty.id, expires_at=soon)
    found = ask("paper jam in the R80")
    assert titles(found) == ["Paper jam"], "the words are others"
    for words in ("paper jam", "Jam, paper!", "How do I get the paper jams out?", "ＰＡＰＥＲ jams"):
        assert titles(ask(words)) == ["Warranty", "Paper jam"], words
    assert (found.total, ask("paper jam").total) == (1, 2)
    rules.save(rule, by=people.dora.viewer, changes={"is_exact": False})
    assert titles(ask("the paper jam in my R80")) == ["Warranty", "Paper jam"]
    monkeypatch.setattr(rules, "now", lambda: soon)
    assert titles(ask("paper jam")) == ["Paper jam"]


def test_a_hide_takes_the_hit_out_of_totals_and_facets(
    steered: Library, people: People, ask: Callable[..., SearchResult]
) -> None:
    steered.write("Paper jam", tags=["paper"])
    old = steered.write("Paper jam in the R60", tags=["paper", "old"])
    steered.catch_up()
    make(people, old.id, action="hide")
    for person in (people.ann, people.alice):
        found = ask("paper jam", person.viewer)
        assert (found.total, titles(found), found.rules, found.hidden) == (1, ["Paper jam"], (), 0)
        assert {value.value for value in found.facets["tag"]} == {"paper"}
    for person in (people.carol, people.dora):
        found = ask("paper jam", person.viewer)
        assert (found.total, found.hidden, [rule.owner for rule in found.rules]) == (1, 1, ["Dora"])
    assert ask("paper jam R60").total == 2
    assert ask("paper jam", people.carol.viewer, with_hides=False).total == 2


def test_a_pin_shows_nobody_what_they_may_not_read(
    steered: Library, people: People, ask: Callable[..., SearchResult]
) -> None:
    steered.write("Paper jam")
    secret = steered.write("What we pay dealers", audience="internal")
    steered.catch_up()
    make(people, secret.id)
    for person in (people.ann, people.alice):
        found = ask("paper jam", person.viewer)
        assert (found.total, titles(found), found.rules) == (1, ["Paper jam"], ())
        assert sum(value.count for value in found.facets["kind"]) == 1
    assert titles(ask("paper jam", people.carol.viewer)) == ["What we pay dealers", "Paper jam"]
    assert titles(ask("paper jam", people.carol.viewer, filters={"language": ("zh",)})) == []


def test_an_article_that_is_withdrawn_or_deleted_is_pinned_no_more(
    steered: Library, people: People, ask: Callable[..., SearchResult]
) -> None:
    steered.write("Paper jam")
    article = steered.write("Warranty")
    rule = make(people, article.id)
    articles.withdraw(article, by=people.dora.viewer)
    steered.catch_up()
    assert titles(ask("paper jam")) == ["Paper jam"]
    assert rules.load_targets([rule])[article.id].state == "draft"
    with pytest.raises(Invalid, match="“Warranty” is not published"):
        rules.save(rule, by=people.dora.viewer, changes={"position": 2})
    number = article.id
    articles.delete(article, by=people.dora.viewer)
    steered.catch_up()
    assert titles(ask("paper jam")) == ["Paper jam"]
    assert rules.load_targets([rule])[number].state == "deleted"
    with pytest.raises(Invalid, match="deleted"):
        rules.save(rule, by=people.dora.viewer, changes={"is_active": True})


@pytest.mark.thorough
def test_several_pins_stand_in_their_order_and_a_hide_is_stronger(
    steered: Library, people: People, ask: Callable[..., SearchResult]
) -> None:
    steered.write("Paper jam")
    second, first, away = (steered.write(title) for title in ("Second", "First", "Away"))
    steered.catch_up()
    make(people, second.id, position=2)
    make(people, first.id, position=1)
    make(people, away.id, words="jam", is_exact=False)
    hide = make(people, away.id, action="hide")
    assert titles(ask("paper jam")) == ["First", "Second", "Paper jam"]
    assert all(0 <= hit.score < 1000 for hit in ask("paper jam").hits)
    rules.save(hide, by=people.dora.viewer, changes={"is_active": False})
    assert set(titles(ask("paper jam"))) == {"First", "Second", "Away", "Paper jam"}
    assert titles(ask("paper jam", size=2, page=2))[-1] == "Paper jam"


def test_a_rule_acts_in_every_process_within_five_seconds(
    library: Library, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    article = library.write("Warranty")
    one, other = GuidanceInForce(), GuidanceInForce()
    assert one().rules == other().rules == ()
    rule = make(people, article.id)
    assert one().rules == ()
    for process in (one, other):
        monkeypatch.setattr(process, "_read_at", time.monotonic() - GuidanceInForce.EVERY_S)
        assert [r.document_id for r in process().rules] == [f"article:{article.id}"]
    rules.delete(rule, by=people.dora.viewer)
    monkeypatch.setattr(other, "_read_at", time.monotonic() - GuidanceInForce.EVERY_S)
    assert other().rules == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": "push"}, "action"),
        ({"words": " "}, "words"),
        ({"words": "???"}, "words"),
        ({"words": "x" * 201}, "words"),
        ({"words": "Jams, paper"}, "words"),
        ({"reason": ""}, "reason"),
        ({"article": None}, "article"),
        ({"article": 4711}, "article"),
        ({"article": "/articles/nothing"}, "article"),
        ({"article": "9" * 30}, "article"),
        ({"position": 0}, "position"),
        ({"position": 99}, "position"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"is_exact": "yes"}, "is_exact"),
        ({"owner_id": 1}, "owner_id"),
    ],
)
def test_rules_that_cannot_be(people: People, library: Library, changes: dict[str, Any], field: str) -> None:
    article = library.write("Warranty")
    make(people, article.id)
    with pytest.raises(Invalid) as refused:
        make(people, **{"article_id": article.id, "words": "another", **changes})
    assert set(refused.value.fields) == {field}
    assert db.session.query(SearchRule).count() == 1


def test_an_unpublished_article_is_pinned_only_once_it_is_published(people: People, library: Library) -> None:
    draft = library.write("Not yet", state="draft")
    with pytest.raises(Invalid, match="“Not yet” is not published"):
        make(people, draft.id)
    rule = make(people, draft.id, is_active=False)
    with pytest.raises(Invalid, match="Publish it first"):
        rules.save(rule, by=people.dora.viewer, changes={"is_active": True})
    articles.publish(draft, by=people.dora.viewer)
    assert rules.save(rule, by=people.dora.viewer, changes={"is_active": True}).is_in_force


@pytest.mark.parametrize(
    "form", ["{id}", "article:{id}", "/articles/{slug}", "https://kb.example.com/articles/{slug}?q=1#a"]
)
def test_an_article_is_named_by_number_or_address(people: People, library: Library, form: str) -> None:
    article = library.write("保修条款")
    named = form.format(id=article.id, slug=article.slug)
    assert make(people, named).article_id == article.id  # type: ignore[arg-type]


def test_rules_belong_to_editors_and_every_step_is_kept(people: People, library: Library) -> None:
    article = library.write("Warranty")
    for person in (people.alice, people.carol):
        with pytest.raises(Forbidden):
            rules.save(None, by=person.viewer, changes={})
    rule = make(people, article.id)
    rule_id = rule.id
    rules.save(rule, by=people.erin.viewer, changes={"position": 3})
    journal.undo(journal.load_steps("rule", rule_id)[0].id, by=people.dora.viewer)
    assert rule.position == 1
    journal.undo(rules.delete(rule, by=people.fred.viewer), by=people.dora.viewer)
    back = db.session.get_one(SearchRule, rule_id)
    assert (back.words, back.owner.name) == ("paper jam", "Dora")  # type: ignore[union-attr]
    done = [entry.action for entry in audit.load_page(kind="rule").entries]
    assert done == ["rule.undo", "rule.delete", "rule.undo", "rule.save", "rule.save"]


def test_search_goes_on_when_the_rules_cannot_be_read(
    people: People, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    make(people, library.write("Warranty").id)
    process = GuidanceInForce()
    before = process()
    assert len(before.rules) == 1

    def fail() -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr("portal.steering.in_force.read", fail)
    monkeypatch.setattr(process, "_read_at", 0.0)
    assert process() is before
    assert GuidanceInForce()().rules == ()
    assert replace(before, rules=()).rules == ()
