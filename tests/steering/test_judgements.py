"""Judged sets: by hand, from files and back, and what they measure."""

import pytest

from portal import audit
from portal.access import Forbidden
from portal.errors import Invalid
from portal.extensions import db
from portal.search import evaluation
from portal.search.engine import EngineDown
from portal.search.models import SearchLog
from portal.steering import clicks, configurations, judgements, judging, measurements, work
from portal.steering.configurations import Loses
from portal.steering.in_force import GuidanceInForce, read
from portal.steering.models import Configuration, JudgedQuery, JudgedSet, Judgement, Measurement
from tests.library import Library
from tests.people import People

ENGINE = "embedded"


@pytest.fixture
def judged(library: Library, people: People) -> JudgedSet:
    """A set of two queries, judged so that titles should weigh little."""
    body = library.write("Maintenance", "How to clear a paper jam. Paper jam, paper jam, and again a paper jam.")
    title = library.write("Paper jam", "See the other article.")
    other = library.write("Warranty", "Two years for the printer.")
    library.catch_up()
    made = judgements.create_set(by=people.dora.viewer, changes={"name": "Readers"})
    jam = judgements.add_query(made, by=people.dora.viewer, text="paper jam", language="en")
    warranty = judgements.add_query(made, by=people.dora.viewer, text="warranty")
    judgements.judge(jam, by=people.dora.viewer, grades={f"article:{body.id}": 3, f"article:{title.id}": 1})
    judgements.judge(warranty, by=people.dora.viewer, grades={f"article:{other.id}": 2})
    return made


def worked() -> None:
    while measurements.load_open():
        work.go_on()
    db.session.expire_all()


def test_sets_and_queries_are_refused_by_name(people: People, judged: JudgedSet) -> None:
    by = people.dora.viewer
    for changes, field in (
        ({"name": ""}, "name"),
        ({"name": "READERS"}, "name"),
        ({"name": "x", "viewer_kind": "admin"}, "viewer_kind"),
        ({"name": "x", "source": "wiki"}, "viewer_kind"),
    ):
        with pytest.raises(Invalid) as refused:
            judgements.create_set(by=by, changes=changes)
        assert set(refused.value.fields) == {field}
    for text in ("", "paper jam", "x" * 1001):
        with pytest.raises(Invalid) as refused:
            judgements.add_query(judged, by=by, text=text)
        assert set(refused.value.fields) == {"text"}
    for grade in (-1, 4, True, "2"):
        with pytest.raises(Invalid):
            judgements.judge(judged.queries[0], by=by, grades={"article:1": grade})
    for person in (people.alice, people.carol):
        with pytest.raises(Forbidden):
            judgements.create_set(by=person.viewer, changes={"name": "x"})
        with pytest.raises(Forbidden):
            judgements.judge(judged.queries[0], by=person.viewer, grades={})
        with pytest.raises(Forbidden):
            judgements.read_files(judged, by=person.viewer, queries="", qrels="")


def test_a_judgement_is_changed_and_taken_back(people: People, judged: JudgedSet) -> None:
    query = judged.queries[0]
    first, second = (judgement.document for judgement in query.judgements)
    judgements.judge(query, by=people.erin.viewer, grades={first: 0, second: None})
    db.session.expire_all()
    assert [(j.document, j.grade, j.judged_by_id) for j in query.judgements] == [(first, 0, people.erin.user_id)]
    assert judgements.load_judged(judged)[1] == 1, "a query without a relevant document is not measured"
    assert audit.load_page(kind="judged_set").entries[0].action == "judged_set.judge"


def test_files_are_read_and_written_alike(people: People, judged: JudgedSet, library: Library) -> None:
    queries, qrels = "".join(judgements.write_queries(judged)), "".join(judgements.write_qrels(judged))
    assert qrels.splitlines()[0] == "query_id\tdoc_id\trelevance"
    copy = judgements.create_set(by=people.dora.viewer, changes={"name": "Copy"})
    report = judgements.read_files(copy, by=people.dora.viewer, queries=queries, qrels=qrels)
    assert (report.queries, report.judgements, report.unknown_queries, report.unknown_documents) == (2, 3, [], [])
    db.session.expire_all()
    assert "".join(judgements.write_queries(copy)) == queries
    assert "".join(judgements.write_qrels(copy)) == qrels
    again = judgements.read_files(copy, by=people.dora.viewer, queries="", qrels=qrels)
    assert again.judgements == 3
    assert db.session.query(JudgedQuery).filter_by(set_id=copy.id).count() == 2


def test_unknown_ids_are_counted_and_listed(people: People, judged: JudgedSet) -> None:
    qrels = "q1\tarticle:99999\t2\nq1\tnowhere\t1\nq1\trecord:7\t1\nq9\tarticle:1\t3\nq8\tx\t1\n"
    report = judgements.read_files(judged, by=people.dora.viewer, queries="", qrels=qrels)
    assert report.judgements == 3
    assert report.unknown_queries == ["q9", "q8"]
    assert report.unknown_documents == ["article:99999", "nowhere", "record:7"]


@pytest.mark.parametrize(
    ("queries", "qrels", "told"),
    [
        ("[]", "", "queries.jsonl, line 1"),
        ('{"id": "a", "text": "b"}\n{"id": "c"}', "", "queries.jsonl, line 2"),
        ("", "q1\tarticle:1", "qrels.tsv, line 1"),
        ("", "query_id\tdoc_id\trelevance\nq1\tarticle:1\thigh", "qrels.tsv, line 2"),
        ("", "q1\tarticle:1\t1²", "qrels.tsv, line 1"),
        ("", "q1\tarticle:1\t" + "9" * 40, "qrels.tsv, line 1"),
    ],
)
def test_broken_files_change_nothing(people: People, judged: JudgedSet, queries: str, qrels: str, told: str) -> None:
    with pytest.raises(evaluation.JudgementError, match=told):
        judgements.read_files(judged, by=people.dora.viewer, queries=queries, qrels=qrels)
    assert db.session.query(Judgement).count() == 3


@pytest.mark.thorough
def test_a_set_is_measured_and_the_result_is_kept(people: People, judged: JudgedSet) -> None:
    asked = measurements.request(None, judged, engine_name=ENGINE, by=people.dora.viewer)
    worked()
    assert (asked.state, asked.queries, asked.total) == ("done", 2, 2)
    assert 0 < asked.ndcg <= 1
    assert asked.recall == 1.0
    assert set(asked.scores) == {"q1", "q2"}
    assert measurements.find_done(None, judged, engine_name=ENGINE) == asked
    judgements.judge(judged.queries[0], by=people.dora.viewer, grades={"article:99999": 3})
    assert measurements.find_done(None, judged, engine_name=ENGINE) is None, "it was judged anew since"
    again = measurements.request(None, judged, engine_name=ENGINE, by=people.dora.viewer)
    worked()
    assert (again.unknown, again.unknown_count) == (["article:99999"], 1)
    assert again.ndcg < asked.ndcg
    assert measurements.load_history("Readers", is_by_clicks=False) == [asked, again]
    judgements.delete_set(judged, by=people.dora.viewer)
    assert measurements.load_names() == ["Readers"], "what was measured stays"


def test_a_set_is_measured_as_people_search_also_where_only_mended_words_find(
    people: People, judged: JudgedSet
) -> None:
    query = judgements.add_query(judged, by=people.dora.viewer, text="warrantty")
    (warranty,) = (j.document for j in judged.queries[1].judgements)
    judgements.judge(query, by=people.dora.viewer, grades={warranty: 3})
    asked = measurements.request(None, judged, engine_name=ENGINE, by=people.dora.viewer)
    worked()
    assert asked.scores[query.key][:3] == [1.0, 1.0, 1.0]


def test_slices_add_up_and_a_failure_says_why(
    people: People, judged: JudgedSet, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = measurements.request(None, judged, engine_name=ENGINE, by=people.dora.viewer)
    assert measurements.go_on(library.engine, budget_s=-1)
    db.session.expire_all()
    assert (asked.state, asked.queries) == ("running", 1)
    assert measurements.go_on(library.engine, budget_s=-1)
    db.session.expire_all()
    assert (asked.state, asked.queries) == ("done", 2)
    down = measurements.request(None, judged, engine_name=ENGINE, by=people.dora.viewer)

    def fail(_request: object) -> None:
        raise EngineDown("Nobody answers.")

    monkeypatch.setattr(library.engine, "search", fail)
    worked()
    assert (down.state, down.why_failed) == ("failed", "The search engine cannot answer: Nobody answers.")


def make(people: People, name: str, **weights: float) -> Configuration:
    return configurations.save(None, by=people.dora.viewer, changes={"name": name, "weights": weights})


@pytest.mark.thorough
def test_a_configuration_that_loses_is_refused_with_its_queries(people: People, judged: JudgedSet) -> None:
    titles = make(people, "Titles only", title=20.0, all=0.01)
    with pytest.raises(Loses, match="It is not measured yet on: Readers"):
        configurations.activate(titles, by=people.dora.viewer, engine_name=ENGINE)
    assert configurations.request_comparison(titles, engine_name=ENGINE, by=people.dora.viewer) == 4
    assert configurations.request_comparison(titles, engine_name=ENGINE, by=people.dora.viewer) == 0
    worked()
    row = next(row for row in configurations.compare(titles, engine_name=ENGINE) if not row.is_by_clicks)
    assert row.loses
    assert [change.text for change in row.worse] == ["paper jam"]
    with pytest.raises(Loses, match=r"It loses on Readers: nDCG@10 falls from .* Worse: paper jam\."):
        configurations.activate(titles, by=people.dora.viewer, engine_name=ENGINE)
    assert configurations.find_active() is None
    configurations.activate(titles, by=people.dora.viewer, engine_name=ENGINE, reason="A trial for a week")
    assert configurations.find_active() == titles
    assert read().weights.title == 20.0
    done = audit.load_page(kind="configuration").entries[0]
    assert (done.action, done.details["reason"]) == ("configuration.activate", "A trial for a week")
    assert not next(r for r in configurations.compare(None, engine_name=ENGINE) if not r.is_by_clicks).loses
    configurations.activate(None, by=people.dora.viewer, engine_name=ENGINE)
    assert configurations.find_active() is None


@pytest.mark.thorough
def test_a_configuration_that_holds_is_used_in_every_process(
    people: People, judged: JudgedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = GuidanceInForce(), GuidanceInForce()
    standard = one().weights
    assert other().weights == standard
    same = make(people, "A little more lead", lead=standard.lead + 0.01)
    configurations.request_comparison(same, engine_name=ENGINE, by=people.dora.viewer)
    worked()
    configurations.activate(same, by=people.dora.viewer, engine_name=ENGINE)
    monkeypatch.setattr(GuidanceInForce, "EVERY_S", 0.0)
    assert one().weights == other().weights != standard
    with pytest.raises(Invalid, match="change only by switching"):
        configurations.save(same, by=people.dora.viewer, changes={"weights": {"lead": 5.0}})
    with pytest.raises(Invalid, match="in use"):
        configurations.delete(same, by=people.dora.viewer)
    configurations.save(same, by=people.dora.viewer, changes={"name": "Renamed"})


def test_without_judgements_a_reason_is_needed(people: People, library: Library) -> None:
    made = make(people, "X", title=1.0)
    with pytest.raises(Loses, match="Nothing is judged yet"):
        configurations.activate(made, by=people.dora.viewer, engine_name=ENGINE)
    configurations.activate(made, by=people.dora.viewer, engine_name=ENGINE, reason="We begin")
    second = make(people, "Y", title=2.0)
    configurations.activate(second, by=people.dora.viewer, engine_name=ENGINE, reason="On")
    assert [c.is_active for c in configurations.load_all()] == [False, True]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "there"}, "name"),
        ({"name": "x", "weights": {"titel": 1.0}}, "titel"),
        ({"name": "x", "weights": {"title": -1.0}}, "title"),
        ({"name": "x", "weights": {"title": float("nan")}}, "title"),
        ({"name": "x", "weights": {"title": "much"}}, "title"),
        ({"name": "x", "weights": {"all": 0}}, "all"),
        ({"name": "x", "weights": [1]}, "weights"),
        ({"name": "x", "is_active": True}, "is_active"),
    ],
)
def test_configurations_that_cannot_be(people: People, changes: dict[str, object], field: str) -> None:
    make(people, "There")
    with pytest.raises(Invalid) as refused:
        configurations.save(None, by=people.dora.viewer, changes=changes)
    assert set(refused.value.fields) == {field}
    with pytest.raises(Forbidden):
        configurations.save(None, by=people.carol.viewer, changes={"name": "x"})
    assert make(people, "Standard", title=0.5).weights in ({}, {"title": 0.5})


def clicked(words: str, document: str, rank: int, times: int = 1, kind: str = "anonymous") -> None:
    for _ in range(times):
        db.session.add(
            SearchLog(
                words=words,
                viewer_kind=kind,
                language="en",
                total=2,
                took_ms=1.0,
                clicked=document,
                clicked_rank=rank,
            )
        )
    db.session.commit()


def test_clicks_further_down_weigh_more(people: People, judged: JudgedSet, library: Library) -> None:
    body, title, other = (f"article:{n}" for n in (1, 2, 3))
    clicked("paper jam", body, 1, times=2)
    clicked("paper jam", title, 4)
    clicked("paper jam", other, 200)
    assert [(click.document_id, click.weight) for click in clicks.load()] == [(body, 2.0), (title, 4.0), (other, 10.0)]
    asked = measurements.request(None, None, engine_name=ENGINE, by=people.dora.viewer)
    worked()
    ranked = [hit.id for hit in judging.run(library.engine, judged.queries[0], None, None).one]
    gains = {doc: weight / (1 if ranked.index(doc) == 0 else 2) for doc, weight in ((body, 2.0), (title, 4.0))}
    assert asked.is_by_clicks
    assert asked.mrr == pytest.approx(sum(gains.values()) / 16, abs=1e-3), "what is not found counts 0"
    assert asked.queries == 3


@pytest.mark.thorough
def test_clicks_stand_beside_the_judgements_and_refuse_nothing(people: People, judged: JudgedSet) -> None:
    clicked("paper jam", "article:1", 1)
    titles = make(people, "Titles only", title=20.0, all=0.01)
    configurations.request_comparison(titles, engine_name=ENGINE, by=people.dora.viewer)
    worked()
    row = next(row for row in configurations.compare(titles, engine_name=ENGINE) if row.is_by_clicks)
    assert row.is_measured
    assert row.after.ndcg < row.before.ndcg  # type: ignore[union-attr]
    assert not row.loses
    assert db.session.query(Measurement).filter_by(is_by_clicks=True).count() == 2


def test_two_sides_are_mixed_and_each_hit_comes_once(people: People, judged: JudgedSet, library: Library) -> None:
    titles = make(people, "Titles only", title=20.0, all=0.01)
    query = judged.queries[0]
    sides = judging.run(library.engine, query, None, titles)
    assert [hit.id for hit in sides.one] == [hit.id for hit in sides.other][::-1]
    orders = {tuple(hit.id for hit in judging.interleave(sides, bytes([n]))) for n in range(64)}
    assert len(orders) == 2, "the seed decides who draws first"
    assert all(len(order) == len(set(order)) == 2 for order in orders)
    grades = {judgement.document: judgement.grade for judgement in query.judgements}
    scored = sides.scored(grades, has_source=False)
    assert (scored.first.ndcg, scored.second.ndcg < 1) == (1.0, True)


def test_what_is_searched_often_is_offered_for_judging(people: People, judged: JudgedSet) -> None:
    for words, times in (("lid", 3), ("toner", 1), ("paper jam", 5)):
        for _ in range(times):
            db.session.add(SearchLog(words=words, viewer_kind="anonymous", language="en", total=1, took_ms=1.0))
    db.session.add(SearchLog(words="nothing", viewer_kind="anonymous", language="en", total=0, took_ms=1.0))
    db.session.add(SearchLog(words="staff", viewer_kind="agent", language="en", total=1, took_ms=1.0))
    db.session.commit()
    assert judging.suggest_queries(judged) == ["lid", "toner"]
    assert [entry.query.text for entry in judging.load_progress(judged, most=9)] == ["warranty", "paper jam"]
    assert judging.find_next(judged.queries[0]) == judged.queries[1]
