"""What managers read about searches: every figure counted by hand, and a table no spreadsheet runs."""

import csv
import io
from datetime import timedelta

import pytest

from portal.extensions import db, now
from portal.reports import charts, searches
from portal.reports.searches import Scope
from portal.search.log import key_of
from portal.search.models import SearchLog


@pytest.fixture
def log(app, people):
    """Ten searches of the last days and one of long ago."""

    def add(words, days_ago, *, total=5, kind="anonymous", language="en", rank=None, **more):
        db.session.add(
            SearchLog(
                words=words,
                key=key_of(words),
                at=now() - timedelta(days=days_ago, minutes=1),
                total=total,
                took_ms=4.0,
                viewer_kind=kind,
                language=language,
                clicked="article:1" if rank else None,
                clicked_rank=rank,
                filters={},
                **more,
            )
        )

    add("Printer offline", 0, rank=1)
    add("printer  offline", 1, rank=3, kind="customer", user_id=people.alice.user_id, record_id=7)
    add("printer offline", 1, kind="agent")
    add("打印机", 1, language="zh", rank=12)
    add("squeaky roller", 2, total=0)
    add("squeaky roller", 2, total=0, kind="customer", user_id=people.bob.user_id, is_reworded=True)
    add("=cmd|calc", 3, kind="editor")
    add("scanner", 3, is_reworded=True)
    add("long ago", 40)
    db.session.commit()


def scope(**more) -> Scope:
    return Scope(until=now(), **more)


def test_the_figures_are_those_counted_by_hand(log) -> None:
    counts = searches.load_counts(scope())
    assert (counts.searches, counts.empty, counts.opened, counts.unopened) == (8, 2, 3, 3)
    assert (counts.reworded, counts.requests) == (2, 1)
    assert counts.select_through == 3 / 8
    assert counts.mean_rank == pytest.approx((1 + 3 + 12) / 3)
    assert searches.load_counts(scope().before).searches == 1


def test_a_scope_narrows_by_language_audience_and_days(log) -> None:
    assert searches.load_counts(scope(language="zh")).searches == 1
    assert searches.load_counts(scope(audience="staff")).searches == 2
    assert searches.load_counts(scope(audience="customer")).requests == 1
    assert searches.load_counts(scope(days=90)).searches == 9
    assert {name: part.searches for name, part in searches.load_by_audience(scope()).items()} == {
        "anonymous": 4,
        "customer": 2,
        "staff": 2,
    }
    assert {name: part.searches for name, part in searches.load_by_language(scope()).items()} == {"en": 7, "zh": 1}


def test_days_without_a_search_are_there_and_the_steps_add_up(log) -> None:
    for days, width in ((28, 28), (365, 53)):
        steps = searches.load_steps(scope(days=days))
        assert len(steps) == width
        assert sum(step.counts.searches for step in steps) == searches.load_counts(scope(days=days)).searches


def test_clicks_are_counted_by_rank_and_low_ones_together(log) -> None:
    assert searches.load_ranks(scope()) == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("searched", "printer offline"),
        ("empty", "squeaky roller"),
        ("unopened", "printer offline"),
        ("reworded", "squeaky roller"),
        ("requests", "printer offline"),
    ],
)
def test_queries_are_gathered_from_their_spellings_and_led_by_what_is_asked(log, order, first) -> None:
    queries = searches.load_queries(scope(), order)
    assert queries[0].key == first
    if first == "printer offline":
        assert queries[0].counts.searches == 3


def test_the_page_shows_charts_with_their_tables_and_leads_to_each_query(log, people, client_for) -> None:
    erin = client_for(people.erin)
    page = erin.get("/reports/searches")
    assert page.status_code == 200
    assert page.text.count('<svg class="chart__picture"') == page.text.count('class="chart__table"') == 2
    assert "style=" not in page.text
    address = page.text.split('href="/reports/searches/query?key=printer+offline')[1].split('"')[0]
    query = erin.get(f"/reports/searches/query?key=printer+offline{address}".replace("&amp;", "&"))
    assert query.status_code == 200
    assert "Printer offline" in query.text
    assert "Alice" not in query.text
    assert "something you may not read" in query.text
    assert erin.get("/reports/searches/query?key=never+asked").status_code == 404


def test_a_quiet_portal_says_so(app, people, client_for) -> None:
    assert "Nothing was searched" in client_for(people.erin).get("/reports/searches").text


@pytest.mark.parametrize("query", ["days=x", "days=9999", "language=%00", "audience=gods", "order=sideways"])
def test_what_is_not_known_is_the_default(log, people, client_for, query) -> None:
    assert client_for(people.erin).get(f"/reports/searches?{query}").status_code == 200


def test_the_export_holds_every_query_and_runs_nothing(log, people, client_for) -> None:
    answer = client_for(people.erin).get("/reports/searches/queries.csv?days=28")
    assert answer.mimetype == "text/csv"
    assert answer.data.startswith("\ufeff".encode())
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    found = {row["words"].lower(): row for row in rows}
    assert found["'=cmd|calc"]["searches"] == "1"
    assert found["打印机"]["mean_rank"] == "12.0"
    assert len(rows) == 5


def test_a_chart_fits_its_box_and_its_parts_their_values() -> None:
    chart = charts.build_columns([(str(n), f"{n}", (n, 2 * n, 0)) for n in range(40)])
    for column in chart.columns:
        for part in column.parts:
            assert part.x >= chart.left
            assert part.x + part.width <= chart.width
            assert 0 <= part.y <= part.y + part.height <= chart.bottom + 0.1
    last = chart.columns[-1].parts
    assert last[1].height == pytest.approx(2 * last[0].height, abs=0.2)
    assert chart.ticks[-1].value >= 39 * 3
    assert sum(column.is_labelled for column in chart.columns) <= charts.MOST_LABELS


@pytest.mark.parametrize("value", [0, 1, 4, 5, 9, 13, 99, 100, 101, 999, 12345])
def test_the_scale_is_round_and_high_enough(value) -> None:
    top = charts.build_columns([("a", "a", (value,))]).ticks[-1].value
    assert value <= top <= max(4, value * 2)
    assert top % 4 == 0
