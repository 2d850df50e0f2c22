"""What must hold on both databases: steps that come back, one configuration in use, slices that count once."""

import pytest
from sqlalchemy.exc import IntegrityError

from portal.extensions import db
from portal.search.models import SearchLog
from portal.settings import Settings
from portal.steering import (
    configurations,
    journal,
    judgements,
    judging,
    measurements,
    preferences,
    previews,
    rules,
    synonyms,
    work,
)
from portal.steering.in_force import read
from portal.steering.models import Configuration, SearchRule
from tests.library import Library
from tests.people import People


@pytest.fixture
def settings(database_settings: Settings) -> Settings:
    """The portal of these tests runs on SQLite, then on PostgreSQL."""
    return database_settings


@pytest.mark.thorough
def test_the_whole_way(library: Library, people: People) -> None:
    by = people.dora.viewer
    library.write("Paper jam", "Open the lid.")
    article = library.write("Warranty", "Two years.")
    library.catch_up()
    given = {"action": "pin", "words": "paper jam", "article": article.id, "reason": "x", "is_active": False}
    rule = rules.save(None, by=by, changes=given)
    rule_id = rule.id
    for rank in (1, 2):
        db.session.add(
            SearchLog(
                words="paper jam",
                viewer_kind="anonymous",
                language="en",
                total=1,
                took_ms=1.0,
                clicked="article:1",
                clicked_rank=rank,
            )
        )
    db.session.commit()
    preview = previews.request("rule", rule_id, by=by)
    while previews.go_on(library.engine, budget_s=5):
        pass
    db.session.expire_all()
    assert (preview.state, [change.searches for change in preview.changes]) == ("done", [2])
    journal.undo(rules.delete(rule, by=by), by=by)
    assert db.session.get_one(SearchRule, rule_id).words == "paper jam"
    synonyms.save_lines("a, b\nc => d", by=by, changes={})
    assert len(read().synonyms) >= 2
    made = judgements.create_set(by=by, changes={"name": "Readers"})
    assert judging.suggest_queries(made) == ["paper jam"]
    query = judgements.add_query(made, by=by, text="paper jam")
    judgements.judge(query, by=by, grades={"article:1": 3, "nowhere": 1})
    assert judging.load_progress(made, most=5)[0].relevant == 2
    assert judging.find_next(query) is None
    titles = configurations.save(None, by=by, changes={"name": "Titles", "weights": {"title": 9.0}})
    other, pair = judgements.add_query(made, by=by, text="lid"), preferences.Pair.of(titles, None)
    preferences.prefer(query, pair, preferences.OTHER, by=by)
    assert preferences.find_next(other, pair, by=by) is None
    assert preferences.find_next(query, pair, by=by) == other
    (outcome,) = preferences.load_outcomes()
    assert (outcome.wins, outcome.losses, outcome.ties, outcome.is_current) == (1, 0, 0, True)
    configurations.request_comparison(titles, engine_name="embedded", by=by)
    while measurements.load_open():
        work.go_on()
    db.session.expire_all()
    assert [row.is_measured for row in configurations.compare(titles, engine_name="embedded")] == [True, True]
    configurations.activate(titles, by=by, engine_name="embedded")
    assert read().weights.title == 9.0
    second = Configuration(name="Second", is_active=True)
    db.session.add(second)
    with pytest.raises(IntegrityError):
        db.session.commit()
    db.session.rollback()
    configurations.save(titles, by=by, changes={"name": "Long titles"})
    (outcome,) = preferences.load_outcomes()
    assert (outcome.name, outcome.wins, outcome.is_current) == ("Long titles", 1, True)
    assert "Long titles" in {row.configuration_name for row in measurements.load_history("Readers", is_by_clicks=False)}
    judgements.delete_set(made, by=by)
    assert preferences.load_outcomes() == []
    assert measurements.load_names() == ["Readers"]
