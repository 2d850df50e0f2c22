"""Operations on synonyms: what they say, what they may not say, and how soon search knows."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from portal import audit
from portal.access import Forbidden
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.search.query import parse
from portal.search.ranking import OneWay, build_plan
from portal.steering import journal, synonyms
from portal.steering.in_force import GuidanceInForce
from portal.steering.models import Synonym
from portal.steering.synonyms import Rule, find_circle
from tests.people import People


def test_synonyms_in_force(people: People) -> None:
    save = synonyms.save
    rule = save(None, by=people.dora.viewer, changes={"words": "pw", "others": "password, pass phrase，密码"})
    save(
        None, by=people.dora.viewer, changes={"words": "old", "others": "new", "is_two_way": False, "is_active": False}
    )
    soon = datetime.now(UTC) + timedelta(hours=1)
    save(None, by=people.dora.viewer, changes={"words": "xmas", "others": "christmas", "expires_at": soon})
    assert [(r.words, r.others, r.is_two_way) for r in synonyms.load_active()] == [
        ("pw", ("password", "pass phrase", "密码"), True),
        ("xmas", ("christmas",), True),
    ]
    assert [r.words for r in synonyms.load_active(soon + timedelta(hours=1))] == ["pw"]
    save(rule, by=people.dora.viewer, changes={"is_active": False})
    synonyms.delete(rule, by=people.dora.viewer)
    assert [r.words for r in synonyms.load_active()] == ["xmas"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"words": " ", "others": "b"}, "words"),
        ({"words": "a", "others": " , "}, "others"),
        ({"words": "Wi-Fi", "others": "x, wi fi"}, "others"),
        ({"words": "a"}, "others"),
        ({"words": "cat", "others": "dog"}, "words"),
        ({"words": "two", "others": "one", "is_two_way": False}, "others"),
        ({"words": "x", "others": ", ".join(map(str, range(30)))}, "others"),
        ({"words": "x" * 81, "others": "b"}, "words"),
        ({"words": "x", "others": "y", "expires_at": "soon"}, "expires_at"),
        ({"words": "x", "others": "y", "owner_id": 1}, "owner_id"),
    ],
)
def test_rules_that_say_nothing_or_go_round_in_a_circle(people: People, changes: dict[str, object], field: str) -> None:
    synonyms.save(None, by=people.dora.viewer, changes={"words": "cat", "others": "dog"})
    synonyms.save(None, by=people.dora.viewer, changes={"words": "one", "others": "two", "is_two_way": False})
    with pytest.raises(Invalid) as refused:
        synonyms.save(None, by=people.dora.viewer, changes=changes)
    assert set(refused.value.fields) == {field}


def test_a_rule_acts_in_every_process_within_five_seconds(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = GuidanceInForce(), GuidanceInForce()
    before = one().synonyms
    assert other().synonyms == before
    synonyms.save(None, by=people.dora.viewer, changes={"words": "pw", "others": "password, 密码"})
    synonyms.save(None, by=people.dora.viewer, changes={"words": "lid", "others": "cover", "is_two_way": False})
    assert GuidanceInForce.EVERY_S < 5
    assert one().synonyms == before, "it is read every few seconds and not at every search"
    for process in (one, other):
        monkeypatch.setattr(process, "_read_at", time.monotonic() - GuidanceInForce.EVERY_S)
        assert process().synonyms == (*before, ("pw", "password", "密码"), OneWay("lid", ("cover",)))


@pytest.mark.parametrize(
    ("asked", "found"), [("lid", {"cover"}), ("cover", set()), ("pw", {"password"}), ("password", {"pw"})]
)
def test_one_way_rules_lead_one_way(asked: str, found: set[str]) -> None:
    plan = build_plan(parse(asked), is_staff=False, synonyms=(OneWay("lid", ("cover",)), ("pw", "password")))
    terms = {term for clause in plan.matching for term in clause.terms}
    assert {"cover", "password", "lid", "pw"} & terms - {asked} == found


@pytest.mark.parametrize(
    ("lines", "circle"),
    [
        (["a => b", "b => c", "c => a"], ["c", "a", "b", "c"]),
        (["a => b", "b, c", "c => a"], ["c", "a", "b", "c"]),
        (["a => b", "a, b"], ["a", "b"]),
        (["a, b", "b, c", "c, a"], []),
        (["a => b", "a => c", "b => c"], []),
        (["a => b", "c => d", "b, c"], []),
    ],
)
def test_circles(lines: list[str], circle: list[str]) -> None:
    rules = [
        Rule(read["words"], tuple(synonyms.split(read["others"])), read["is_two_way"])
        for read in map(synonyms.read_line, lines)
    ]
    found = find_circle(rules[-1], rules[:-1])
    assert (set(found), bool(found)) == (set(circle), bool(circle))
    ways = {(rule.words, other) for rule in rules for other in rule.others}
    ways |= {
        (other, one)
        for rule in rules
        if rule.is_two_way
        for one in (rule.words, *rule.others)
        for other in (rule.words, *rule.others)
    }
    assert all(step in ways for step in pairwise(found)), "each step of the circle is one that a rule takes"


def test_a_circle_is_refused_by_its_words(people: People) -> None:
    for words, others in (("lid", "cover"), ("cover", "hood")):
        synonyms.save(None, by=people.dora.viewer, changes={"words": words, "others": others, "is_two_way": False})
    with pytest.raises(Invalid, match="hood → lid → cover → hood"):
        synonyms.save(None, by=people.dora.viewer, changes={"words": "hood", "others": "lid", "is_two_way": False})


def test_many_lines_at_once(people: People) -> None:
    text = "# prints\nprinter, 打印机, mfp\n\nlid => cover, hood\n"
    made = synonyms.save_lines(text, by=people.dora.viewer, changes={"reason": "Asked often"})
    assert [(r.words, r.others, r.is_two_way, r.reason) for r in made] == [
        ("printer", "打印机, mfp", True, "Asked often"),
        ("lid", "cover, hood", False, "Asked often"),
    ]
    assert [len(journal.load_steps("synonym", rule.id)) for rule in made] == [1, 1]


def test_broken_lines_are_named_and_nothing_is_saved(people: People) -> None:
    synonyms.save(None, by=people.dora.viewer, changes={"words": "cat", "others": "dog"})
    text = "one, two\nalone\na => b => c\n=> x\na, b => c\ndog, cat\ntwo, one\nx => x\n" + "y" * 1001
    with pytest.raises(Invalid) as refused:
        synonyms.save_lines(text, by=people.dora.viewer, changes={})
    faults = refused.value.fields["lines"].split("\n")
    assert [fault.partition(":")[0] for fault in faults] == [f"Line {n}" for n in (2, 3, 4, 5, 6, 7, 8, 9)]
    assert "'alone' is one word alone" in faults[0]
    assert "There is such a rule already" in faults[4]
    assert db.session.query(Synonym).count() == 1
    for nothing in ("", "# only a note"):
        with pytest.raises(Invalid):
            synonyms.save_lines(nothing, by=people.dora.viewer, changes={})


def test_only_editors_write_synonyms(people: People) -> None:
    for person in (people.alice, people.carol):
        with pytest.raises(Forbidden):
            synonyms.save(None, by=person.viewer, changes={"words": "a", "others": "b"})
        with pytest.raises(Forbidden):
            synonyms.save_lines("a, b", by=person.viewer, changes={})


def test_steps_are_taken_back_one_after_the_other(people: People) -> None:
    rule = synonyms.save(None, by=people.dora.viewer, changes={"words": "pw", "others": "password"})
    rule_id = rule.id
    synonyms.save(
        rule, by=people.erin.viewer, changes={"others": "passcode", "expires_at": datetime(2099, 1, 1, tzinfo=UTC)}
    )
    made, changed = reversed(journal.load_steps("synonym", rule_id))
    with pytest.raises(Conflict):
        journal.undo(made.id, by=people.dora.viewer)
    journal.undo(changed.id, by=people.dora.viewer)
    assert (rule.others, rule.expires_at) == ("password", None)
    with pytest.raises(Conflict):
        journal.undo(changed.id, by=people.dora.viewer)
    step_id = synonyms.delete(rule, by=people.dora.viewer)
    assert [step.id for step in journal.load_removed()] == [step_id]
    with pytest.raises(Forbidden):
        journal.undo(step_id, by=people.carol.viewer)
    journal.undo(step_id, by=people.dora.viewer)
    back = db.session.get_one(Synonym, rule_id)
    assert (back.words, back.others, back.owner_id) == ("pw", "password", people.dora.user_id)
    assert journal.load_removed() == []
    done = [entry.action for entry in audit.load_page(kind="synonym").entries]
    assert done == ["synonym.undo", "synonym.delete", "synonym.undo", "synonym.save", "synonym.save"]
