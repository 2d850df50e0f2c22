"""Somebody answers for every rule: who may, how it goes over to another, and what is said when nobody does."""

from typing import Any

import pytest

from portal import audit
from portal.access import Role
from portal.accounts import users
from portal.errors import Invalid
from portal.extensions import db
from portal.steering import journal, rules, synonyms
from portal.steering.models import OwnerTrouble, SearchRule, Synonym
from tests.library import Library
from tests.people import People

MADE = {
    "rule": "/steering/rules",
    "synonym": "/steering/synonyms",
}


@pytest.fixture(params=list(MADE))
def owned(request: pytest.FixtureRequest, people: People, library: Library) -> tuple[str, SearchRule | Synonym]:
    """A pin or a synonym of Dora's, and what it is."""
    by = people.dora.viewer
    if request.param == "synonym":
        given = {"words": "pw", "others": "password", "reason": "People type it"}
        return "synonym", synonyms.save(None, by=by, changes=given)
    article = library.write("Warranty")
    given = {"action": "pin", "words": "pw", "article": article.id, "reason": "Asked every day"}
    return "rule", rules.save(None, by=by, changes=given)


def save(kind: str, rule: Any, people: People, owner_id: object) -> Any:
    operation: Any = rules.save if kind == "rule" else synonyms.save
    return operation(rule, by=people.erin.viewer, changes={"owner_id": owner_id})


def test_a_rule_goes_over_to_another_with_history_audit_and_a_way_back(
    people: People, client_for: Any, owned: tuple[str, Any]
) -> None:
    kind, rule = owned
    place = f"{MADE[kind]}/{rule.id}"
    erin = client_for(people.erin)
    page = erin.get(place).text
    assert 'id="owner_id"' in page
    filled = {
        "words": "pw",
        "others": "password",
        "reason": "Why not",
        "is_active": "y",
        "owner_id": people.erin.user_id,
    }
    if kind == "rule":
        filled |= {"action": "pin", "article": f"article:{rule.article_id}", "is_exact": "y"}
    assert erin.post(place, data=filled).status_code == 303
    assert rule.owner.name == "Erin"
    done = audit.load_page(kind=kind).entries[0]
    assert (done.action, done.details["owner_id"]) == (f"{kind}.save", people.erin.user_id)
    assert "<del>Dora</del> <ins>Erin</ins>" in erin.get(place).text
    journal.undo(journal.load_steps(kind, rule.id)[0].id, by=people.dora.viewer)
    assert rule.owner.name == "Dora"


def test_only_who_may_steer_can_own(people: People, owned: tuple[str, Any], client_for: Any) -> None:
    kind, rule = owned
    for wrong in (people.alice.user_id, people.carol.user_id, 2_000_000_000, None, "x", True):
        with pytest.raises(Invalid, match="Choose somebody whose account is in use"):
            save(kind, rule, people, wrong)
    assert rule.owner.name == "Dora"
    refused = client_for(people.erin).post(f"{MADE[kind]}/{rule.id}", data={"owner_id": people.carol.user_id})
    assert refused.status_code == 422
    options = client_for(people.erin).get(f"{MADE[kind]}/{rule.id}").text
    assert "Carol" not in options
    assert "Fred" in options


def test_the_list_says_that_nobody_answers_any_more(people: People, client_for: Any, owned: tuple[str, Any]) -> None:
    kind, rule = owned
    erin = client_for(people.erin)
    assert "nobody to answer for it" not in erin.get(MADE[kind]).text
    assert rule.owner_trouble is None
    users.disable(people.dora.user, by=people.fred.viewer)
    assert rule.owner_trouble is OwnerTrouble.DISABLED
    page = erin.get(MADE[kind]).text
    assert "1 rule has nobody to answer for it." in page
    assert "account disabled" in page
    # What is changed besides needs no new owner at once.
    assert "Dora" in erin.get(f"{MADE[kind]}/{rule.id}").text
    assert save(kind, rule, people, people.dora.user_id).owner.name == "Dora"
    with pytest.raises(Invalid):
        save(kind, save(kind, rule, people, people.erin.user_id), people, people.dora.user_id)
    assert "nobody to answer for it" not in erin.get(MADE[kind]).text


def test_who_may_not_steer_any_more_or_is_gone_is_told_too(
    people: People, client_for: Any, owned: tuple[str, Any]
) -> None:
    kind, rule = owned
    erin = client_for(people.erin)
    people.dora.user.role = Role.AGENT.value
    db.session.commit()
    assert "may not steer the search any more" in erin.get(MADE[kind]).text
    rule.owner_id = None
    db.session.commit()
    assert rule.owner_trouble is OwnerTrouble.GONE
    assert "1 rule has nobody to answer for it." in erin.get(MADE[kind]).text
    assert erin.get(f"{MADE[kind]}/{rule.id}").status_code == 200
