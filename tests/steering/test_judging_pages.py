"""The pages of judged sets, judging, configurations and measurements, and the command that measures."""

import json
import re
from io import BytesIO
from typing import Any

import pytest
from flask import Flask

from portal import audit, cli
from portal.extensions import db
from portal.search.engine import EngineDown
from portal.steering import configurations, judgements, measurements, preferences, work
from portal.steering.models import Configuration, JudgedQuery, JudgedSet, Measurement, Preference
from tests.library import Library
from tests.people import People

PLACES = ["/sets", "/configurations", "/configurations/0", "/measurements", "/measurements/state"]


@pytest.fixture
def query(library: Library, people: People) -> JudgedQuery:
    """A query of a set that nobody judged yet, with two hits."""
    library.write("Maintenance", "How to clear a paper jam. Paper jam, paper jam, and again a paper jam.")
    library.write("Paper jam", "See the other article.")
    library.catch_up()
    made = judgements.create_set(by=people.dora.viewer, changes={"name": "Readers"})
    return judgements.add_query(made, by=people.dora.viewer, text="paper jam")


@pytest.mark.parametrize("place", PLACES)
def test_only_editors_come_in(people: People, client_for: Any, library: Library, place: str) -> None:
    path = "/steering" + place
    assert client_for(people.ann).get(path).status_code == 303
    for person in (people.alice, people.carol):
        assert client_for(person).get(path).status_code == 403
    for person in (people.dora, people.erin, people.fred):
        assert client_for(person).get(path).status_code == 200
    assert client_for(people.dora).delete(path).status_code == 405


@pytest.mark.thorough
def test_a_set_is_made_and_filled(people: People, client_for: Any, library: Library) -> None:
    dora = client_for(people.dora)
    assert dora.post("/steering/sets", data={"name": "", "viewer_kind": "anonymous"}).status_code == 422
    made = dora.post("/steering/sets", data={"name": "Readers", "viewer_kind": "anonymous", "source": ""})
    place = made.location
    added = dora.post(f"{place}/queries", data={"text": "paper jam", "language": "en"})
    assert re.fullmatch(r"/steering/judging/\d+", added.location)
    again = dora.post(f"{place}/queries", data={"text": "paper jam"})
    assert again.status_code == 422
    assert "The set has this query already." in again.text
    assert "paper jam" in dora.get(place).text
    files = {
        "queries": (BytesIO('\ufeff{"id": "f1", "text": "打印机", "lang": "zh"}\n'.encode()), "queries.jsonl"),
        "qrels": (BytesIO(b"query_id\tdoc_id\trelevance\nf1\tarticle:4711\t2\nf2\tarticle:1\t1\n"), "qrels.tsv"),
    }
    read = dora.post(f"{place}/files", data=files, content_type="multipart/form-data")
    assert read.status_code == 200
    assert "1 queries and 1 judgements are read." in read.text
    assert "<code>f2</code>" in read.text
    assert "<code>article:4711</code>" in read.text
    assert '{"id": "f1", "text": "打印机", "lang": "zh"}' in dora.get(f"{place}/queries.jsonl").text
    assert "f1\tarticle:4711\t2" in dora.get(f"{place}/qrels.tsv").text
    for broken in (b"\xff\xfe", b"no json", b"{}", b'{"id": "a", "text": "\0"}'):
        answer = dora.post(
            f"{place}/files", data={"queries": (BytesIO(broken), "queries.jsonl")}, content_type="multipart/form-data"
        )
        assert answer.status_code == 422, broken
    assert dora.post(f"{place}/files", data={}).status_code == 422
    assert dora.post(f"{place}/deletion").status_code == 303
    assert db.session.query(JudgedSet).count() == db.session.query(JudgedQuery).count() == 0


@pytest.mark.thorough
def test_judging_is_blind_until_all_is_judged(people: People, client_for: Any, query: JudgedQuery) -> None:
    made = configurations.save(
        None, by=people.dora.viewer, changes={"name": "Titles first", "weights": {"title": 20.0, "all": 0.01}}
    )
    dora, place = client_for(people.dora), f"/steering/judging/{query.id}?one=product&other={made.id}"
    page = dora.get(place).text
    fields = re.findall(r'name="(grade:article:\d+)" value="3"', page)
    assert len(fields) == 2
    assert "nDCG@10" not in page
    assert "Which found what" not in page
    assert "2 hits are not judged yet" in page
    partly = dora.post(place, data={fields[0]: "3", "then": "stay"}, follow_redirects=True).text
    assert "1 hit is not judged yet" in partly
    assert "Which found what" not in partly
    whole = dora.post(place, data={fields[1]: "1", "then": "stay"}, follow_redirects=True).text
    assert "Which found what" in whole
    assert whole.count("nDCG@10") == 2
    assert re.search(r"Titles first · nDCG@10 [01]\.\d{3}", whole)
    assert {j.grade for j in query.judgements} == {1, 3}
    dora.post(place, data={fields[0]: "", fields[1]: "9", "evil": "1"})
    assert len(query.judgements) == 1, "an empty grade takes a judgement back; others are left alone"


def test_the_next_query_is_the_one_judged_least(people: People, client_for: Any, query: JudgedQuery) -> None:
    following = judgements.add_query(query.judged_set, by=people.dora.viewer, text="maintenance")
    answer = client_for(people.dora).post(
        f"/steering/judging/{query.id}?one=product&other=product", data={"then": "next"}
    )
    assert answer.location == f"/steering/judging/{following.id}?one=product&other=product"


@pytest.fixture
def titles(people: People) -> Configuration:
    """A configuration that turns the two hits around."""
    changes = {"name": "Titles first", "weights": {"title": 20.0, "all": 0.01}}
    return configurations.save(None, by=people.dora.viewer, changes=changes)


def shown(page: str) -> dict[str, list[str]]:
    """Return the titles of each list."""
    lists = re.findall(r'<section aria-labelledby="list-(a|b)">(.*?)</section>', page, re.DOTALL)
    return {letter: re.findall(r"/articles/([a-z-]+)", text) for letter, text in lists}


def test_side_by_side_is_blind_until_a_list_is_chosen(
    people: People, client_for: Any, query: JudgedQuery, titles: Configuration
) -> None:
    dora, place = client_for(people.dora), f"/steering/judging/{query.id}/lists?one=product&other={titles.id}"
    page = dora.get(place).text
    lists = shown(page)
    assert sorted(lists.values()) == [["maintenance", "paper-jam"], ["paper-jam", "maintenance"]]
    assert page.count("Titles first") == page.count("The product’s own weights") == 2, "only where one chooses"
    assert dora.get(f"/steering/judging/{query.id}/lists?one={titles.id}&other=product").text.count("lists__name") == 0
    fields = re.findall(r'name="(grade:article:\d+)" value="3"', page)
    assert len(fields) == 2, "a hit of both lists is judged once"
    assert "Also in list A, place 2" in page
    for_titles = next(letter for letter, found in lists.items() if found[0] == "paper-jam")
    answer = dora.post(place, data={"better": for_titles, fields[0]: "2", "then": "stay"}, follow_redirects=True).text
    named = dict(re.findall(r'id="list-(a|b)">List . <span class="lists__name">(.*?)</span>', answer))
    assert named[for_titles] == "Titles first"
    assert re.search(rf'name="better" value="{for_titles}" data-key="." checked', answer)
    (told,) = db.session.query(Preference)
    assert (told.one_name, told.other_name, told.better) == ("", "Titles first", "other")
    assert [j.grade for j in query.judgements] == [2]
    assert audit.load_page(kind="judged_set").entries[0].action == "judged_set.prefer"
    dora.post(place, data={"better": "same", "then": "stay"})
    assert db.session.query(Preference).one().better == "same", "what one says anew stands in place of the old"


@pytest.mark.thorough
def test_lists_change_sides_from_query_to_query_and_the_next_is_one_not_told_yet(
    people: People, client_for: Any, query: JudgedQuery, titles: Configuration
) -> None:
    dora = client_for(people.dora)
    for number in range(12):
        judgements.add_query(query.judged_set, by=people.dora.viewer, text=f"paper jam {'lid ' * number}please")
    place, left, seen = f"/steering/judging/{query.id}/lists?one=product&other={titles.id}", set(), []
    while True:
        left.add(shown(dora.get(place).text)["a"][0])
        seen.append(place)
        answer = dora.post(place, data={"better": "a", "then": "next"})
        if answer.location == place:
            break
        place = answer.location
    assert len(set(seen)) == 13
    assert left == {"maintenance", "paper-jam"}
    (outcome,) = preferences.load_outcomes()
    assert outcome.wins + outcome.losses == 13
    assert outcome.ties == 0


@pytest.mark.thorough
def test_one_configuration_twice_and_a_dead_engine_are_told(
    people: People, client_for: Any, query: JudgedQuery, titles: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    dora, place = client_for(people.dora), f"/steering/judging/{query.id}/lists"
    twice = f"{place}?one={titles.id}&other={titles.id}"
    assert "Both lists would be of one configuration" in dora.get(twice).text
    assert "Choose two." in dora.post(twice, data={"better": "a"}, follow_redirects=True).text
    answer = dora.post(f"{place}?one=product&other={titles.id}", data={"better": "zzz"}, follow_redirects=True)
    assert "Say which list is better" in answer.text
    assert db.session.query(Preference).count() == 0

    def fail(*_: object, **__: object) -> None:
        raise EngineDown("Nobody answers.")

    monkeypatch.setattr("portal.steering.judging.first_hits", fail)
    assert "Nobody answers." in dora.get(f"{place}?one=product&other={titles.id}").text
    assert client_for(people.carol).post(place, data={"better": "a"}).status_code == 403


@pytest.mark.thorough
def test_wins_and_losses_are_counted_until_the_weights_change(
    people: People, client_for: Any, query: JudgedQuery, titles: Configuration
) -> None:
    pair = preferences.Pair.of(titles, None)
    assert pair == preferences.Pair.of(None, titles)
    queries = [
        query,
        *(judgements.add_query(query.judged_set, by=people.dora.viewer, text=f"q {n}") for n in range(6)),
    ]
    for asked in queries[:6]:
        preferences.prefer(asked, pair, preferences.OTHER, by=people.dora.viewer)
    preferences.prefer(queries[6], pair, preferences.SAME, by=people.dora.viewer)
    (outcome,) = preferences.load_outcomes()
    assert (outcome.name, outcome.beside, outcome.is_current) == ("Titles first", "", True)
    assert (outcome.wins, outcome.losses, outcome.ties) == (6, 0, 1)
    assert outcome.chance == pytest.approx(0.03125)
    preferences.prefer(query, pair, preferences.ONE, by=people.erin.viewer)
    (outcome,) = preferences.load_outcomes()
    assert (outcome.wins, outcome.losses, outcome.chance) == (6, 1, pytest.approx(0.125))
    page = client_for(people.dora).get("/steering/measurements").text
    assert re.search(r"Titles first</td>.*?0\.125.*?not decided yet", page, re.DOTALL)
    configurations.save(titles, by=people.dora.viewer, changes={"weights": {"title": 3.0}})
    preferences.prefer(query, pair, preferences.ONE, by=people.dora.viewer)
    assert [(o.wins, o.losses, o.is_current) for o in preferences.load_outcomes()] == [(0, 1, True), (6, 1, False)]
    assert "with earlier weights" in client_for(people.dora).get("/steering/measurements").text
    configurations.delete(titles, by=people.dora.viewer)
    assert [o.is_current for o in preferences.load_outcomes()] == [False, False]


def test_outcomes_follow_their_configuration_through_every_name(
    people: People, client_for: Any, query: JudgedQuery, titles: Configuration
) -> None:
    by, dora = people.dora.viewer, client_for(people.dora)

    def shown_names() -> list[tuple[str, str, int, bool]]:
        return [(o.name, o.beside, o.wins, o.is_current) for o in preferences.load_outcomes()]

    rival = configurations.save(None, by=by, changes={"name": "Rival", "weights": {"title": 2.0}})
    preferences.prefer(query, preferences.Pair.of(titles, None), preferences.OTHER, by=by)
    preferences.prefer(query, preferences.Pair.of(titles, rival), preferences.OTHER, by=by)
    measurements.request(titles, query.judged_set, engine_name="embedded", by=by)
    work.go_on()
    configurations.save(titles, by=by, changes={"name": "Short titles"})
    assert set(shown_names()) == {("Short titles", "", 1, True), ("Rival", "Short titles", 1, True)}
    preferences.prefer(query, preferences.Pair.of(titles, None), preferences.SAME, by=by)
    assert set(shown_names()) == {("Short titles", "", 0, True), ("Rival", "Short titles", 1, True)}
    page = dora.get("/steering/measurements").text
    assert "Short titles" in page
    assert "Titles first" not in page
    assert [row.configuration_name for row in measurements.load_history("Readers", is_by_clicks=False)] == [
        "Short titles"
    ]

    # Another one takes the name that is free, with the same weights: nothing was said of it.
    namesake = configurations.save(None, by=by, changes={"name": "Titles first", "weights": dict(titles.weights)})
    assert preferences.find(query, preferences.Pair.of(namesake, None), by=by) is None
    assert set(shown_names()) == {("Short titles", "", 0, True), ("Rival", "Short titles", 1, True)}
    configurations.delete(titles, by=by)
    configurations.save(namesake, by=by, changes={"name": "Short titles"})
    configurations.save(namesake, by=by, changes={"name": "Third"})
    assert set(shown_names()) == {("Short titles", "", 0, False), ("Rival", "Short titles", 1, False)}
    assert preferences.find(query, preferences.Pair.of(None, None), by=by) is None


@pytest.mark.parametrize(
    ("wins", "losses", "chance"), [(0, 0, 1.0), (1, 0, 1.0), (5, 5, 1.0), (8, 1, 0.0390625), (0, 6, 0.03125)]
)
def test_the_sign_test_is_that_of_a_fair_coin(wins: int, losses: int, chance: float) -> None:
    assert preferences.sign_test(wins, losses) == preferences.sign_test(losses, wins) == pytest.approx(chance)


def test_the_sign_test_bears_thousands_of_judgements() -> None:
    assert preferences.sign_test(3000, 3500) < 1e-8


def test_the_judging_page_says_when_the_engine_is_down(
    people: People, client_for: Any, query: JudgedQuery, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_request: object) -> None:
        raise EngineDown("Nobody answers.")

    monkeypatch.setattr(library.engine, "search", fail)
    answer = client_for(people.dora).get(f"/steering/judging/{query.id}")
    assert answer.status_code == 200
    assert "Nobody answers." in answer.text
    assert client_for(people.dora).get("/steering/judging/4711").status_code == 404
    for wrong in ("4711", "x", "9" * 30):
        assert client_for(people.dora).get(f"/steering/judging/{query.id}?one={wrong}").status_code == 404


@pytest.mark.thorough
def test_a_configuration_is_made_compared_refused_and_used(
    people: People, client_for: Any, query: JudgedQuery, library: Library
) -> None:
    hits = {hit.title: hit.id for hit in library.engine.search(judgements_request(query)).hits}
    judgements.judge(query, by=people.dora.viewer, grades={hits["Maintenance"]: 3, hits["Paper jam"]: 0})
    dora = client_for(people.dora)
    shown = dora.get("/steering/configurations").text
    values = dict(re.findall(r'name="(\w+)"[^>]*value="([\d.]+)"', shown))
    wrong = dora.post("/steering/configurations", data={**values, "name": "Titles", "title": "-3"})
    assert wrong.status_code == 422
    assert 'value="Titles"' in wrong.text
    made = dora.post("/steering/configurations", data={**values, "name": "Titles", "title": "20", "all": "0.01"})
    place = made.location
    found = db.session.query(Configuration).one()
    assert found.weights == {"title": 20.0, "all": 0.01}
    refused = dora.post(f"{place}/activation", data={"reason": ""}, follow_redirects=True).text
    assert "It is not measured yet on: Readers" in refused
    assert dora.post(f"{place}/measurements").status_code == 303
    assert "measurements are being made" in dora.get(place).text
    while measurements.load_open():
        work.go_on()
    assert "loses" in dora.get(place).text
    refused = dora.post(f"{place}/activation", data={"reason": ""}, follow_redirects=True).text
    assert "It loses on Readers" in refused
    assert "Worse: paper jam." in refused
    used = dora.post(f"{place}/activation", data={"reason": "A trial"}, follow_redirects=True).text
    undo = re.search(r'action="(/steering/configurations/0/activation\?reason=[^"]+)"', used)
    assert undo is not None
    assert dora.post(f"{place}/deletion", follow_redirects=True).text.count("is in use") == 1
    assert dora.post(undo[1]).status_code == 303
    assert configurations.find_active() is None
    assert 'value="20.0"' in dora.get(f"/steering/configurations?from={found.id}").text
    assert dora.post(f"{place}/previews").location.startswith("/steering/previews/")
    assert "Titles" in dora.get(dora.post(f"{place}/previews").location).text
    assert dora.post("/steering/configurations/0/previews").status_code == 404
    assert dora.post(f"{place}/deletion").status_code == 303
    assert dora.get(place).status_code == 404


def judgements_request(query: JudgedQuery) -> Any:
    from portal.access import ANONYMOUS
    from portal.search.request import SearchRequest

    return SearchRequest(viewer=ANONYMOUS, text=query.text)


def test_measurements_are_drawn_and_tabled(people: People, client_for: Any, query: JudgedQuery) -> None:
    judgements.judge(query, by=people.dora.viewer, grades={"article:1": 3, "nowhere": 1})
    dora = client_for(people.dora)
    for _ in range(2):
        assert dora.post("/steering/measurements").status_code == 303
        assert "hx-get" in dora.get("/steering/measurements").text
        while measurements.load_open():
            work.go_on()
    page = dora.get("/steering/measurements").text
    assert "hx-get" not in page
    assert len(re.findall(r"<circle", page)) == 4, "two of the set and two of the clicks"
    assert "<code>nowhere</code>" in page
    assert "style=" not in page
    assert "Clicks (estimate)" in page


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["evaluate", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.thorough
def test_the_command_measures_sets_clicks_and_files(
    app: Flask,
    people: People,
    query: JudgedQuery,
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portal.app.create_app", lambda *_: app)
    judgements.judge(query, by=people.dora.viewer, grades={"article:1": 3, "article:4711": 1})
    code, out, err = run(capsys, "--set", "Readers", "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["queries"], told["unknown_documents"], told["configuration"]) == (1, 1, None)
    assert "1 judged documents are not in the portal and count as never found: article:4711" in err
    assert run(capsys, "--clicks", "--json")[0] == 0
    assert db.session.query(Measurement).count() == 2
    history = json.loads(run(capsys, "--history", "--json")[1])
    assert [row["set"] for row in history] == ["Readers", "clicks"]
    assert "Readers" in run(capsys, "--history")[1]
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text('{"id": "q1", "text": "paper jam", "lang": "en"}\n')
    qrels.write_text("q1\tarticle:1\t2\nq1\tgone\t1\nq7\tarticle:1\t1\n")
    code, out, err = run(capsys, "--queries", str(queries), "--qrels", str(qrels), "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["queries"], told["unknown_queries"], told["unknown_documents"]) == (1, 1, 1)
    assert {"ndcg_at_10", "mrr_at_10", "recall_at_10"} <= set(told)
    assert "gone" in err
    assert "q7" in err
    made = configurations.save(None, by=people.dora.viewer, changes={"name": "Titles", "weights": {"title": 9.0}})
    assert "Titles" in str(json.loads(run(capsys, "--set", "Readers", "--configuration", made.name, "--json")[1]))
    assert run(capsys, "--set", "Nothing")[0] == 1
    assert run(capsys, "--set", "Readers", "--configuration", "Nothing")[0] == 1
    for wrong in ([], ["--queries", str(queries)], ["--set", "Readers", "--history"]):
        assert run(capsys, *wrong)[0] == 2
