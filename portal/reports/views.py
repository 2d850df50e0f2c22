"""The pages of reports: what was searched and whether it helped, for managers."""

import csv
import io

from flask import Blueprint, Flask, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.imports.writing import neutral
from portal.pages import show_date
from portal.reports import searches
from portal.reports.charts import Chart, build_columns
from portal.reports.searches import Step
from portal.search.sources import registry

blueprint = Blueprint("reports", __name__, url_prefix="/reports")


@blueprint.get("")
@needs(Permission.READ_REPORTS)
def overview() -> ResponseReturnValue:
    """Lead to the report there is."""
    return redirect(url_for("reports.show_searches"), 303)


@blueprint.get("/searches")
@needs(Permission.READ_REPORTS)
def show_searches() -> str:
    """Show how search does, in figures, charts and the queries behind them."""
    scope = searches.scope_of(request.args)
    order = request.args.get("order", "")
    order = order if order in searches.ORDERS else "searched"
    steps = searches.load_steps(scope)
    ranks = searches.load_ranks(scope)
    return render_template(
        "reports/searches.html",
        scope=scope,
        counts=searches.load_counts(scope),
        before=searches.load_counts(scope.before),
        steps=steps,
        volume=_volume(steps),
        ranks=ranks,
        rank_chart=_rank_chart(ranks),
        by_language=searches.load_by_language(scope),
        by_audience=searches.load_by_audience(scope),
        order=order,
        queries=searches.load_queries(scope, order),
        periods=searches.PERIODS,
        audiences=searches.AUDIENCES,
    )


@blueprint.get("/searches/query")
@needs(Permission.READ_REPORTS)
def show_query() -> str:
    """Show one query: when it was searched, in which spellings, and what was opened."""
    scope = searches.scope_of(request.args, key=request.args.get("key", "")[:200])
    counts = searches.load_counts(scope)
    if not counts.searches:
        abort(404)
    steps = searches.load_steps(scope)
    spellings = searches.load_spellings(scope)
    return render_template(
        "reports/query.html",
        scope=scope,
        words=spellings[0][0],
        counts=counts,
        steps=steps,
        volume=_volume(steps),
        spellings=spellings,
        opened=[
            (item, registry().readable(current_viewer(), item.document_id)) for item in searches.load_opened(scope)
        ],
    )


@blueprint.get("/searches/queries.csv")
@needs(Permission.EXPORT)
def export_queries() -> Response:
    """Give the queries of the period as a table for spreadsheets."""
    scope = searches.scope_of(request.args)
    order = request.args.get("order", "")
    queries = searches.load_queries(scope, order if order in searches.ORDERS else "searched", searches.MOST_EXPORTED)
    text = io.StringIO()
    # The mark lets spreadsheet programs know that it is UTF-8.
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(searches.COLUMNS)
    writer.writerows([neutral(row[name]) for name in searches.COLUMNS] for row in searches.rows_of(queries))
    name = f"searches-{scope.since.date()}-{scope.until.date()}.csv"
    return Response(
        text.getvalue(), mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _volume(steps: list[Step]) -> Chart:
    return build_columns(
        [
            (
                show_date(step.day),
                gettext(
                    "%(day)s: %(searches)s searches, %(opened)s with a click, %(empty)s without result",
                    day=show_date(step.day),
                    searches=step.counts.searches,
                    opened=step.counts.opened,
                    empty=step.counts.empty,
                ),
                (step.counts.opened, step.counts.unopened, step.counts.empty),
            )
            for step in steps
        ]
    )


def _rank_chart(ranks: list[int]) -> Chart:
    rows = []
    for number, count in enumerate(ranks, start=1):
        label = str(number) if number <= searches.LAST_RANK else f"> {searches.LAST_RANK}"
        rows.append((label, gettext("Rank %(rank)s: %(count)s clicks", rank=label, count=count), (count,)))
    return build_columns(rows)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
