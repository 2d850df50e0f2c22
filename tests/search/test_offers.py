"""What a search box offers: titles, one's own and popular searches, topics; never what somebody alone searched."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.access import Role
from portal.accounts.models import User
from portal.extensions import db, now
from portal.knowledge import articles
from portal.search import popular
from portal.search.log import key_of
from portal.search.models import PopularSearch, SearchLog
from portal.steering import rules
from portal.vocabulary import categories


def searched(words: str, *, kind: str = "anonymous", total: int = 2, **more) -> None:
    db.session.add(
        SearchLog(
            words=words,
            key=key_of(words),
            at=now() - timedelta(hours=1),
            total=total,
            took_ms=1.0,
            viewer_kind=kind,
            language="en",
            filters={},
            **more,
        )
    )
    db.session.commit()


@pytest.fixture
def filled(library):
    printers = categories.create(by=library.people.dora.viewer, changes={"name": "Printers", "name_zh": "打印机"})
    categories.create(by=library.people.dora.viewer, changes={"name": "Print shop secrets", "audience": "internal"})
    library.write("Printer offline after update", "The printer shows E-1024.", category_id=printers.id)
    library.write("Secret torque values", "For the repair of printers.", audience="internal")
    library.write("Network storage is slow", "Check the cable to the printer.")
    library.catch_up()
    return library


def offered(client, text: str) -> dict[str, list[str]]:
    found = client.get("/api/v1/suggest", query_string={"q": text}).json
    return {
        "titles": [item["title"] for item in found["suggestions"]],
        "searches": [(item["words"], item["is_own"]) for item in found["searches"]],
        "places": [item["name"] for item in found["places"]],
    }


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["archived", "for staff alone"])
def test_what_was_withdrawn_is_offered_no_more_before_the_index_knows(filled, people, client_for, how) -> None:
    for typed in ("print", "network"):
        assert offered(client_for(people.ann), typed)["titles"]
    for slug in ("printer-offline-after-update", "network-storage-is-slow"):
        article = articles.get_readable(people.dora.viewer, slug)
        if how == "archived":
            articles.archive(article, by=people.dora.viewer)
        else:
            articles.save(article, by=people.dora.viewer, changes={"audience": "internal"})
    for typed in ("print", "network"):
        assert offered(client_for(people.ann), typed)["titles"] == []
        assert offered(client_for(people.dora), typed)["titles"], "staff go on"


def test_titles_topics_and_ones_own_searches_are_offered(filled, people, client_for) -> None:
    searched("printer offline", kind="customer", user_id=people.alice.user_id)
    found = offered(client_for(people.alice), "print")
    assert found["titles"][0] == "Printer offline after update"
    assert found["searches"] == [("printer offline", True)]
    assert found["places"] == ["Printers"], "a topic for staff is no customer's"
    assert offered(client_for(people.carol), "print")["places"] == ["Printers", "Print shop secrets"]
    assert offered(client_for(people.bob), "print")["searches"] == []
    assert offered(client_for(people.alice), "打印")["places"] == ["Printers"]


def test_where_hardly_a_title_fits_the_best_hits_stand_in(filled, people, client_for) -> None:
    assert offered(client_for(people.ann), "cable")["titles"] == ["Network storage is slow"]
    assert offered(client_for(people.ann), "torque")["titles"] == []


def test_rules_act_on_titles_and_on_the_best_hits_alike(filled, people, client_for) -> None:
    for action, words, article in [
        ("hide", "cable", "network-storage-is-slow"),
        ("pin", "cable", "printer-offline-after-update"),
        ("hide", "printer", "printer-offline-after-update"),
    ]:
        given = {"action": action, "words": words, "article": article, "reason": "Test"}
        rules.save(None, by=people.dora.viewer, changes=given)
    ann = client_for(people.ann)
    assert offered(ann, "cable")["titles"] == ["Printer offline after update"], "pinned, and no hit that is hidden"
    assert offered(ann, "printer")["titles"] == ["Network storage is slow"], "the best hit stands in, not the hidden"
    assert offered(ann, "print")["titles"][0] == "Printer offline after update"


def test_popular_needs_several_readers(filled, people) -> None:
    for cohort in (1, 1, 1, 2):
        searched("printer", cohort=cohort)
    for cohort in (1, 2, 3):
        searched("storage", cohort=cohort)
    for _ in range(9):
        searched("cable")
    assert popular.refresh() == 1
    assert popular.load(people.ann.viewer, "en") == ["storage"]
    assert popular.load(people.ann.viewer, "zh") == []
    assert popular.complete(people.ann.viewer, "sto") == ["storage"]
    assert popular.complete(people.ann.viewer, "storage") == [], "what is typed already is no offer"


def test_colleagues_of_one_company_are_one_customer(filled, people) -> None:
    for number in range(4):
        user = User(
            name=f"Colleague {number}",
            email=f"c{number}@alpha.example",
            role=Role.CUSTOMER.value,
            customer_id=people.company_a,
        )
        db.session.add(user)
        db.session.flush()
        searched("printer", kind="customer", user_id=user.id)
    searched("printer", kind="customer", user_id=people.bob.user_id)
    assert popular.refresh() == 0


def test_no_word_that_only_staff_may_read_becomes_popular_among_others(filled, people) -> None:
    for cohort in (1, 2, 3):
        searched("torque", cohort=cohort)
        searched("printer torque", cohort=cohort)
    for user_id in (people.carol.user_id, people.dora.user_id, people.erin.user_id):
        searched("torque", kind="agent", user_id=user_id)
    popular.refresh()
    rows = db.session.execute(select(PopularSearch.audience, PopularSearch.words)).all()
    assert [tuple(row) for row in rows] == [("staff", "torque")]
    assert popular.complete(people.alice.viewer, "tor") == []
    assert popular.complete(people.carol.viewer, "tor") == ["torque"]


def test_what_was_masked_or_found_nothing_is_not_popular(filled) -> None:
    for cohort in (1, 2, 3):
        searched("⟨e-mail⟩ printer", cohort=cohort)
        searched("printer", cohort=cohort, total=0)
    assert popular.refresh() == 0


def test_an_empty_box_offers_ones_latest_and_popular_searches(filled, people, client_for) -> None:
    for cohort in (1, 2, 3):
        searched("storage", cohort=cohort)
    popular.refresh()
    searched("printer offline", kind="customer", user_id=people.alice.user_id)
    assert offered(client_for(people.alice), "")["searches"] == [("printer offline", True), ("storage", False)]
    assert offered(client_for(people.ann), "")["searches"] == [("storage", False)]
    assert "Often searched" in client_for(people.ann).get("/search").text


def test_what_is_offered_is_escaped(filled, people, client_for) -> None:
    searched("<b>printer", kind="customer", user_id=people.alice.user_id)
    found = client_for(people.alice).get("/api/v1/suggest", query_string={"q": "<b>p"}).json
    assert found["searches"][0]["html"] == "<mark>&lt;b&gt;p</mark>rinter"


@pytest.mark.parametrize("text", ["%", "_", "\\", "x" * 200, "(", "⟨"])
def test_any_text_may_be_typed(filled, people, client_for, text) -> None:
    assert client_for(people.alice).get("/api/v1/suggest", query_string={"q": text}).status_code == 200
