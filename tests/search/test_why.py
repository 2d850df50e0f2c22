"""Why is it not here?  Each reason, told by name, through anybody's eyes."""

import pytest

from portal import cli
from portal.extensions import db
from portal.knowledge import articles
from portal.outbox import OutboxRow
from portal.search.sources import registry
from portal.steering import rules


@pytest.fixture
def filled(library):
    library.write("Printer offline after update", "The printer shows E-1024.", tags=["driver"])
    library.write("Printer paper", "About the printer's paper.")
    library.write("Internal printer manual", "Torque of the printer.", audience="internal")
    library.write("Draft about printers", "Not yet.", state="draft")
    library.catch_up()
    return library


@pytest.fixture
def ask(people, client_for):
    def why(id: str, q: str = "printer", eyes: str = "anonymous", person=None, **more):  # noqa: A002
        client = client_for(person or people.carol)
        return client.get("/api/v1/search/why", query_string={"q": q, "id": id, "as": eyes, **more})

    return why


def test_what_is_shown_has_its_rank_and_shares(filled, ask) -> None:
    found = ask("printer-offline-after-update", q="printer offline").json
    assert (found["verdict"], found["rank"], found["page"]) == ("shown", 1, 1)
    assert found["saved_version"] == found["indexed_version"]
    assert sum(field["score"] for field in found["fields"]) == pytest.approx(found["score"], rel=0.01)


@pytest.mark.parametrize("name", ["/articles/printer-paper", "https://kb.example.com/articles/printer-paper?x=1"])
def test_what_stands_behind_another_is_compared_with_it(filled, ask, name) -> None:
    found = ask(name, q="printer offline").json
    assert (found["rank"], found["ahead"]["title"]) == (2, "Printer offline after update")
    gains = sum(difference["gain"] for difference in found["differences"])
    assert gains == pytest.approx(found["ahead"]["score"] - found["score"], rel=0.01)


def test_a_draft_is_not_published(filled, ask, people) -> None:
    found = ask("draft-about-printers", person=people.dora).json
    assert found["verdict"] == "not_published"
    assert "'draft'" in found["sentence"]
    assert ask("draft-about-printers", person=people.dora, eyes="editor").json["verdict"] == "shown"


def test_who_may_not_read_it_themselves_is_told_nothing(filled, ask, people) -> None:
    hidden, missing = (ask(name).json for name in ("draft-about-printers", "no-such-thing"))
    assert hidden["verdict"] == missing["verdict"] == "unknown"
    assert hidden["sentence"] == missing["sentence"]
    assert hidden["title"] == ""
    assert ask("printer-paper", person=people.alice).status_code == 403


def test_what_is_for_staff_says_for_whom_it_is(filled, ask) -> None:
    found = ask("internal-printer-manual", eyes="customer").json
    assert found["verdict"] == "not_readable"
    assert "staff" in found["sentence"]
    assert ask("internal-printer-manual", eyes="agent").json["verdict"] == "shown"


def test_what_is_not_indexed_yet_says_its_versions(filled, library, ask) -> None:
    library.write("Printer brand new")
    found = ask("printer-brand-new").json
    assert (found["verdict"], found["saved_version"], found["indexed_version"]) == ("not_indexed", 1, 0)
    row = db.session.get_one(
        OutboxRow, ("article", articles.get_readable(library.people.dora.viewer, "printer-brand-new").id)
    )
    row.last_error = "mapper_parsing_exception in title"
    db.session.commit()
    found = ask("printer-brand-new").json
    assert found["verdict"] == "set_aside"
    assert "mapper_parsing_exception" in found["sentence"]


def test_a_filter_that_keeps_it_out_is_named(filled, ask) -> None:
    found = ask("printer-paper", tag="driver").json
    assert (found["verdict"], found["filters"]) == ("filtered", ["tag"])
    assert "Tag" in found["sentence"]


def test_words_that_are_not_in_it_are_named(filled, ask) -> None:
    found = ask("printer-paper", q="xylophone quartet").json
    assert (found["verdict"], found["missing_words"]) == ("no_match", ["xylophone", "quartet"])
    found = ask("printer-paper", q="printer -paper").json
    assert (found["verdict"], found["missing_words"]) == ("no_match", [])


def test_a_rule_that_hides_it_is_told(filled, ask) -> None:
    given = {"action": "hide", "words": "printer", "article": "printer-paper", "reason": "Out of date"}
    rule = rules.save(None, by=filled.people.dora.viewer, changes=given)
    found = ask("printer-paper").json
    assert (found["verdict"], found["rule_id"]) == ("hidden", rule.id)
    assert "Out of date" in found["sentence"]
    assert "Dora" in found["sentence"]
    assert ask("printer-offline-after-update").json["verdict"] == "shown"


@pytest.fixture
def pinned(filled):
    given = {"action": "pin", "words": "printer", "article": "printer-paper", "reason": "Asked every day"}
    return rules.save(None, by=filled.people.dora.viewer, changes=given)


def test_a_pin_is_told_with_what_the_score_would_be(filled, ask, pinned) -> None:
    found = ask("printer-paper").json
    assert (found["verdict"], found["rank"], found["pinned"], found["rule_id"]) == ("shown", 1, True, pinned.id)
    assert sum(field["score"] for field in found["fields"]) == pytest.approx(found["score"], rel=0.01)
    assert f"A pin puts it there; its own score would be {found['score']:.3f}." in found["sentence"]
    assert found["ahead"] is None
    behind = ask("printer-offline-after-update").json
    assert (behind["rank"], behind["pinned"], behind["ahead"]) == (2, False, None)
    assert "Only what editors pinned stands before it." in behind["sentence"]


@pytest.fixture
def printed(settings, monkeypatch, capsys):
    monkeypatch.setenv("CASEBOOK_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("CASEBOOK_SECRET_KEY", settings.secret_key)

    def search(*arguments: str) -> str:
        assert cli.main(["search", *arguments]) == 0
        return " ".join(capsys.readouterr().out.split())

    return search


@pytest.mark.thorough
def test_a_pin_is_told_on_the_page_in_json_and_on_the_command_line(filled, people, client_for, pinned, printed) -> None:
    carol, ann = client_for(people.carol), client_for(people.ann)
    first = carol.get("/api/v1/search?q=printer&explain=1").json["hits"][0]
    assert first["pinned"]
    assert sum(reason["score"] for reason in first["why"]) == pytest.approx(first["score"], rel=0.01)
    assert "pinned" not in ann.get("/api/v1/search?q=printer&explain=1").json["hits"][0]
    told = f"A pin puts it there; its own score would be {first['score']:.3f}."
    assert told in carol.get("/search?q=printer&explain=1").text
    assert told not in ann.get("/search?q=printer&explain=1").text
    assert told in printed("printer", "--as", "agent", "--explain")
    assert told in printed("printer", "--as", "agent", "--missing", "printer-paper")
    assert "A pin puts it" not in printed("printer", "--explain")


def test_the_order_of_the_page_changes_no_reason_and_browsing_has_none(filled, ask) -> None:
    newest = ask("printer-paper", q="printer offline", sort="newest").json
    assert newest["rank"] == ask("printer-paper", q="printer offline").json["rank"] == 2
    browsed = ask("printer-paper", q="kind:faq").json
    assert (browsed["verdict"], browsed["rank"]) == ("ranked", None)
    assert "what was changed last" in browsed["sentence"]


def test_far_down_it_is_told_what_only_the_best_are_ranked_by(filled, ask, monkeypatch) -> None:
    for module in ("portal.search.embedded.search", "portal.search.why"):
        monkeypatch.setattr(f"{module}.REFINED", 1)
    found = ask("printer-paper", q="printer offline").json
    assert "Only the best 1 are also ranked by the first lines" in found["sentence"]
    assert sum(field["score"] for field in found["fields"]) == pytest.approx(found["score"], rel=0.01)
    gains = sum(difference["gain"] for difference in found["differences"])
    assert gains == pytest.approx(found["ahead"]["score"] - found["score"], rel=0.01)


@pytest.mark.thorough
def test_the_page_asks_and_answers(filled, people, client_for) -> None:
    carol = client_for(people.carol)
    assert "Why is something missing?" in carol.get("/search?q=printer").text
    assert "Why is something missing?" not in client_for(people.ann).get("/search?q=printer").text
    page = carol.get("/search/why?q=printer+offline&id=printer-paper&as=anonymous")
    assert page.status_code == 200
    assert "rank 2" in page.text
    assert "What makes the difference" in page.text
    assert carol.get("/search/why?q=printer").status_code == 200
    assert carol.get("/search/why?as=god").status_code == 400
    assert carol.get("/api/v1/search/why?q=printer").status_code == 400


def test_records_and_customers_are_looked_up_by_what_people_call_them(app, people) -> None:
    assert registry().look_up(f"/customers/{people.company_a}") == f"customer:{people.company_a}"
    assert registry().look_up("customer:7") == "customer:7"
    for text in ("", "/", "record:", "record:x", "//", "ftp:1", "http://[", "\x00"):
        registry().look_up(text)
