"""What a rule would change, tried on what people searched."""

from typing import Any

import pytest
from flask_babel import force_locale

from portal.access import Forbidden, Role, viewer_for
from portal.errors import Missing
from portal.extensions import db
from portal.search.engine import EngineDown
from portal.search.models import SearchLog
from portal.search.request import SearchRequest
from portal.steering import previews, rules, synonyms, work
from portal.steering.models import Configuration, Preview, PreviewedChange
from tests.library import Library
from tests.people import People


def searched(words: str, kind: str = "anonymous", times: int = 1, **more: Any) -> None:
    for _ in range(times):
        db.session.add(SearchLog(words=words, viewer_kind=kind, language="en", total=1, took_ms=1.0, **more))
    db.session.commit()


def tried(preview: Preview, library: Library) -> Preview:
    while previews.go_on(library.engine, budget_s=5):
        pass
    db.session.expire_all()
    return preview


@pytest.fixture
def shelf(library: Library) -> Library:
    library.write("Paper jam", "Open the lid.")
    library.write("Warranty", "Two years.")
    library.write("Dealers", "A paper about prices.", audience="internal")
    library.catch_up()
    return library


def pin(people: People, library: Library, title: str = "Warranty", **changes: Any) -> Any:
    article_id = library.engine.search(
        SearchRequest(viewer=viewer_for(Role.ADMIN), text=f'"{title}"')
    ).hits[0].id  # fmt: skip
    given = {"action": "pin", "words": "paper jam", "article": article_id, "reason": "x", "is_active": False}
    return rules.save(None, by=people.dora.viewer, changes=given | changes)


def test_a_pin_is_tried_before_it_is_switched_on(shelf: Library, people: People) -> None:
    searched("paper jam", times=3)
    searched("Paper jams?", "customer")
    searched("paper jam", "agent")
    searched("lid", times=2)
    rule = pin(people, shelf)
    preview = tried(previews.request("rule", rule.id, by=people.dora.viewer), shelf)
    assert (preview.state, preview.searches, preview.queries, preview.touched) == ("done", 7, 4, 3)
    assert {(c.words, c.viewer_kind, c.searches) for c in preview.changes} == {
        ("paper jam", "anonymous", 3),
        ("Paper jams?", "customer", 1),
        ("paper jam", "agent", 1),
    }
    mine = next(c for c in preview.changes if c.searches == 3)
    assert ([h["title"] for h in mine.before], [h["title"] for h in mine.after]) == (
        ["Paper jam"],
        ["Warranty", "Paper jam"],
    )
    _, after = previews.compare(mine)
    assert [(p.title, p.moved, p.by) for p in after] == [("Warranty", "in", 0), ("Paper jam", "down", 1)]
    assert rules.load_active() == (), "trying it does not switch it on"
    assert previews.find_latest("rule", rule.id) == preview


def test_it_is_tried_through_the_eyes_of_whoever_searched(shelf: Library, people: People) -> None:
    for kind in ("anonymous", "customer", "agent", "somebody"):
        searched("paper jam", kind)
    rule = pin(people, shelf, "Dealers")
    preview = tried(previews.request("rule", rule.id, by=people.dora.viewer), shelf)
    assert preview.touched == 4
    assert [c.viewer_kind for c in preview.changes] == ["agent"]


def test_a_hide_moves_others_up_and_a_rule_in_force_is_compared_with_its_absence(
    shelf: Library, people: People
) -> None:
    searched("paper")
    rule = pin(people, shelf, "Paper jam", action="hide", words="paper", is_active=True)
    preview = tried(previews.request("rule", rule.id, by=people.dora.viewer), shelf)
    before, after = previews.compare(preview.changes[0])
    assert [(p.title, p.moved) for p in before] == [("Paper jam", "out")]
    assert after == []


def test_synonyms_and_configurations_are_tried_too(shelf: Library, people: People) -> None:
    searched("blockage")
    searched("warranty")
    rule = synonyms.save(
        None, by=people.dora.viewer, changes={"words": "blockage", "others": "paper jam", "is_active": False}
    )
    preview = tried(previews.request("synonym", rule.id, by=people.dora.viewer), shelf)
    assert (preview.touched, [c.words for c in preview.changes]) == (1, ["blockage"])
    made = Configuration(name="Bare", weights={"title": 0.0})
    db.session.add(made)
    db.session.commit()
    preview = tried(previews.request("configuration", made.id, by=people.dora.viewer), shelf)
    assert (preview.name, preview.touched, preview.changes) == ("Bare", 2, [])


def test_only_the_latest_thousand_searches_count(
    shelf: Library, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "SEARCHES", 3)
    searched("paper jam")
    searched("lid", times=3)
    rule = pin(people, shelf)
    preview = previews.request("rule", rule.id, by=people.dora.viewer)
    searched("paper jam")
    assert (tried(preview, shelf).searches, preview.touched) == (3, 0)


def test_slices_go_on_where_the_last_one_ended_and_none_counts_twice(
    shelf: Library, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        searched(f"paper jam {'x' * number}")
    rule = pin(people, shelf, is_exact=False)
    preview = previews.request("rule", rule.id, by=people.dora.viewer)
    for done in (1, 2):
        assert previews.go_on(shelf.engine, budget_s=-1)
        db.session.expire_all()
        assert (preview.state, preview.cursor) == ("running", done)
    keep = previews._keep

    def twice(*given: Any) -> None:
        keep(*given)
        keep(*given)

    monkeypatch.setattr(previews, "_keep", twice)
    tried(preview, shelf)
    assert (preview.state, preview.touched) == ("done", 5)
    assert db.session.query(PreviewedChange).count() == 5


def test_what_cannot_be_tried_says_why(shelf: Library, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    searched("paper jam")
    rule = pin(people, shelf)
    gone = previews.request("rule", rule.id, by=people.dora.viewer)
    rules.delete(rule, by=people.dora.viewer)
    assert tried(gone, shelf).why_failed == "The rule was removed before it could be tried."
    again = pin(people, shelf)
    down = previews.request("rule", again.id, by=people.dora.viewer)

    def fail(_request: object) -> None:
        raise EngineDown("Nobody answers.")

    monkeypatch.setattr(shelf.engine, "search", fail)
    work.go_on()
    db.session.expire_all()
    assert (down.state, down.why_failed) == ("failed", "The search engine cannot answer: Nobody answers.")
    with force_locale("zh"):
        assert down.why_failed == "搜索引擎无法应答：Nobody answers."
    down.error = "A whole sentence: of an earlier version."
    assert down.why_failed == "A whole sentence: of an earlier version."
    db.session.rollback()
    with pytest.raises(Missing):
        previews.request("rule", 4711, by=people.dora.viewer)
    with pytest.raises(Forbidden):
        previews.request("rule", again.id, by=people.carol.viewer)


@pytest.mark.thorough
def test_searches_that_cannot_be_touched_are_not_run(shelf: Library, people: People) -> None:
    db.session.add_all(
        SearchLog(words=f"words number {n}", viewer_kind="customer", language="en", total=1, took_ms=1.0)
        for n in range(previews.SEARCHES)
    )
    db.session.commit()
    preview = previews.request("rule", pin(people, shelf).id, by=people.dora.viewer)
    asked: list[object] = []
    search = shelf.engine.search
    shelf.engine.search = lambda request: (asked.append(request), search(request))[1]  # type: ignore[method-assign]
    tried(preview, shelf)
    assert (preview.state, preview.queries, asked) == ("done", previews.SEARCHES, [])
