"""The pages on which editors steer the search."""

import re
from typing import Any

import pytest

from portal.extensions import db
from portal.knowledge import articles
from portal.search.models import SearchLog
from portal.steering import previews, rules, synonyms
from portal.steering.in_force import GuidanceInForce
from portal.steering.models import Preview, SearchRule, Synonym
from tests.library import Library
from tests.people import People

PLACES = ["", "/synonyms", "/synonyms/lines", "/rules"]


@pytest.mark.parametrize("place", PLACES)
def test_only_editors_come_in(people: People, client_for: Any, place: str) -> None:
    path = "/steering" + place
    assert client_for(people.ann).get(path).status_code == 303
    for person in (people.alice, people.carol):
        assert client_for(person).get(path).status_code == 403
    for person in (people.dora, people.erin, people.fred):
        assert client_for(person).get(path).status_code == 200
    assert client_for(people.dora).delete(path).status_code == 405


def test_synonyms(people: People, client_for: Any) -> None:
    dora = client_for(people.dora)
    filled = {
        "words": "pw",
        "others": "password, 密码",
        "is_two_way": "y",
        "is_active": "y",
        "expires_at": "2099-01-01",
    }
    assert dora.post("/steering/synonyms", data=filled).status_code == 303
    assert [rule.words for rule in synonyms.load_active()] == ["pw"]
    rule = db.session.query(Synonym).one()
    place = f"/steering/synonyms/{rule.id}"
    refused = dora.post(place, data=filled | {"others": " ", "reason": "Kept"})
    assert refused.status_code == 422
    assert 'value="Kept"' in refused.text
    assert dora.post(place, data={"words": "pw", "others": "password"}).status_code == 303
    assert synonyms.load_active() == ()
    assert dora.post(f"{place}/activation").status_code == 303
    assert [rule.words for rule in synonyms.load_active()] == ["pw"]
    assert dora.post(f"{place}/deactivation").status_code == 303
    assert synonyms.load_active() == ()
    page = dora.get(place).text
    assert "<del>password, 密码</del> <ins>password</ins>" in page
    assert dora.get("/steering/synonyms/999999999999").status_code == 404
    assert dora.post(f"{place}/deletion").status_code == 303
    assert db.session.query(Synonym).count() == 0
    assert ">pw<" in dora.get("/steering").text, "what was removed can be brought back"


def test_broken_lines_stay_in_the_form_with_their_faults(people: People, client_for: Any) -> None:
    dora = client_for(people.dora)
    answer = dora.post("/steering/synonyms/lines", data={"lines": "one, two\nalone", "is_active": "y"})
    assert answer.status_code == 422
    assert "one, two\r\nalone" in answer.text or "one, two\nalone" in answer.text
    assert "Line 2:" in answer.text
    assert (
        dora.post("/steering/synonyms/lines", data={"lines": "one, two\na => b", "is_active": "y"}).status_code == 303
    )
    assert [rule.words for rule in synonyms.load_active()] == ["one", "a"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("good, fine\nalone", "Line 2: &#39;alone&#39; is one word alone"),
        ("a => b => c", "Line 1: &#39;a =&gt; b =&gt; c&#39; has more than one arrow"),
        ("a, b => c", "Line 1: Write one word or phrase before the arrow."),
        ("a => a", "Line 1: A word cannot be its own synonym. Take a out of the list."),
        ("a => b\nb => a", "Line 2: Another rule leads from a back to these words."),
        ("a => b\nb => c\nc => a", "Line 3: With this, the rules lead in a circle: c → a → b → c."),
        ("a, b\nb, a", "Line 2: There is such a rule already."),
        ("x" * 1001 + ", y", "Line 1: This is longer than 1000 characters."),
    ],
)
def test_a_broken_line_and_a_loop_are_refused_by_name(people: People, client_for: Any, lines: str, told: str) -> None:
    answer = client_for(people.dora).post("/steering/synonyms/lines", data={"lines": lines, "is_active": "y"})
    assert answer.status_code == 422
    assert told in answer.text
    assert db.session.query(Synonym).count() == 0


def test_a_loop_is_refused_by_name_in_the_form_of_one_rule(people: People, client_for: Any) -> None:
    dora = client_for(people.dora)
    for words, others in (("lid", "cover"), ("cover", "cap")):
        given = {"words": words, "others": others, "is_active": "y"}
        assert dora.post("/steering/synonyms", data=given).status_code == 303
    refused = dora.post("/steering/synonyms", data={"words": "cap", "others": "lid", "is_active": "y"})
    assert refused.status_code == 422
    assert "cap → lid → cover → cap" in refused.text


def test_a_pin_to_a_deleted_article_is_refused_by_name(people: People, client_for: Any, library: Library) -> None:
    article = library.write("Warranty")
    number, slug, dora = article.id, article.slug, client_for(people.dora)
    given = {"action": "pin", "words": "warranty", "is_exact": "y", "reason": "x", "is_active": "y"}
    assert dora.post("/steering/rules", data=given | {"article": slug}).status_code == 303
    rule = db.session.query(SearchRule).one()
    articles.delete(article, by=people.fred.viewer)
    for named in (slug, str(number), f"article:{number}"):
        refused = dora.post("/steering/rules", data=given | {"words": "another", "article": named})
        assert refused.status_code == 422
        assert f"There is no article &#39;{named}&#39;, or it was deleted." in refused.text
    assert "Its article was deleted" in dora.get("/steering/rules").text
    dora.post(f"/steering/rules/{rule.id}/deactivation")
    told = dora.post(f"/steering/rules/{rule.id}/activation", follow_redirects=True).text
    assert "This article was deleted. Choose another one, or remove the rule." in told


def test_pins_and_hides(people: People, client_for: Any, library: Library) -> None:
    article = library.write("Warranty")
    dora = client_for(people.dora)
    offered = dora.get(f"/steering/rules?words=paper+jam&article=article:{article.id}&action=hide").text
    assert 'value="paper jam"' in offered
    assert f'value="article:{article.id}"' in offered
    filled = {
        "action": "pin",
        "words": "paper jam",
        "is_exact": "y",
        "article": f"/articles/{article.slug}",
        "position": "2",
        "reason": "Asked every day",
        "is_active": "y",
    }
    wrong = dora.post("/steering/rules", data=filled | {"article": "/articles/none", "reason": "Kept"})
    assert wrong.status_code == 422
    assert "There is no article" in wrong.text
    assert 'value="Kept"' in wrong.text
    answer = dora.post("/steering/rules", data=filled, follow_redirects=True)
    assert "It acts within five seconds." in answer.text
    rule = db.session.query(SearchRule).one()
    assert (rule.position, rule.is_active, rule.owner_id) == (2, True, people.dora.user_id)
    undo = re.search(r'action="(/steering/steps/\d+/undo)"', answer.text)
    assert undo is not None
    listed = dora.get("/steering/rules").text
    assert "pinned to place 2" in listed
    assert "Asked every day" in listed
    assert dora.post(undo[1]).status_code == 303
    assert db.session.query(SearchRule).count() == 0
    assert dora.post(undo[1], follow_redirects=True).text.count("has been changed since") == 1
    assert dora.post("/steering/steps/4711/undo").status_code == 404


@pytest.mark.thorough
def test_a_rule_is_saved_switched_off_and_tried_first(people: People, client_for: Any, library: Library) -> None:
    library.write("Paper jam")
    article = library.write("Warranty")
    library.catch_up()
    db.session.add(SearchLog(words="paper jam", viewer_kind="anonymous", language="en", total=1, took_ms=1.0))
    db.session.commit()
    dora = client_for(people.dora)
    filled = {"action": "pin", "words": "paper jam", "is_exact": "y", "article": str(article.id), "reason": "x"}
    answer = dora.post("/steering/rules", data=filled | {"is_active": "y", "then": "preview"})
    rule, preview = db.session.query(SearchRule).one(), db.session.query(Preview).one()
    assert rule.is_active is False
    assert answer.location == f"/steering/previews/{preview.id}"
    waiting = dora.get(answer.location).text
    assert "hx-get" in waiting
    assert "No worker is running" in waiting
    while previews.go_on(library.engine, budget_s=5):
        pass
    for page in (dora.get(answer.location).text, dora.get(answer.location + "/state").text):
        assert "hx-get" not in page
        assert "Warranty" in page
        assert "Not signed in" in page
        assert f'action="/steering/rules/{rule.id}/activation"' in page
    assert dora.post(f"/steering/rules/{rule.id}/activation").status_code == 303
    assert [r.words for r in rules.load_active()] == ["paper jam"]
    assert "activation" not in dora.get(answer.location + "/state").text
    assert dora.get("/steering/previews/4711").status_code == 404


def test_switching_on_what_cannot_act_says_why(people: People, client_for: Any, library: Library) -> None:
    draft = library.write("Not yet", state="draft")
    rule = rules.save(
        None,
        by=people.dora.viewer,
        changes={"action": "pin", "words": "jam", "article": draft.id, "reason": "x", "is_active": False},
    )
    dora = client_for(people.dora)
    answer = dora.post(f"/steering/rules/{rule.id}/activation", follow_redirects=True)
    assert "“Not yet” is not published" in answer.text
    assert rules.load_active() == ()
    assert "Its article is not published" not in answer.text, "it is switched off anyway"


@pytest.mark.thorough
def test_staff_see_that_a_rule_acts_and_readers_do_not(
    people: People, client_for: Any, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.write("Paper jam")
    away, pinned = library.write("Paper jam in the R60"), library.write("Warranty")
    library.catch_up()
    monkeypatch.setattr(GuidanceInForce, "EVERY_S", 0.0)
    for action, article in (("hide", away), ("pin", pinned)):
        rules.save(
            None,
            by=people.dora.viewer,
            changes={"action": action, "words": "paper jam", "article": article.id, "reason": "Old <b>device</b>"},
        )
    carol = client_for(people.carol).get("/search?q=paper+jam").text
    assert "1 hit is hidden by a rule." in carol
    assert "Pinned by Dora" in carol
    assert "Old &lt;b&gt;device" in carol
    assert "/steering/rules/" not in carol
    assert "/steering/rules/" in client_for(people.dora).get("/search?q=paper+jam").text
    for person in (people.ann, people.alice):
        text = client_for(person).get("/search?q=paper+jam").text
        assert "Warranty" in text
        for told in ("R60", "Dora", "a rule", "Old &lt;"):
            assert told not in text
        answer = client_for(person).get("/api/v1/search?q=paper+jam").json
        assert answer["total"] == 2
        assert not {"rules", "hidden"} & set(answer)


def test_a_rule_without_a_history_is_switched_on_where_it_is_on_already(people: People, client_for: Any) -> None:
    """A rule that is older than its journal: nothing changes, and there is no step to take back."""
    kept = Synonym(words="printer", others="press")
    db.session.add(kept)
    db.session.commit()
    answer = client_for(people.dora).post(f"/steering/synonyms/{kept.id}/activation", follow_redirects=True)
    assert answer.status_code == 200
    assert "The rule is in force within five seconds." in answer.text
