"""`casebook evaluate`: how good the ranking is, on files of judgements or on the sets that editors keep."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import select

from portal.access import Role, viewer_for
from portal.commands.options import AS_JSON
from portal.extensions import db
from portal.search import evaluation
from portal.search.answer import first_hits
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.results import Hit
from portal.steering import clicks, configurations, in_force, judgements, measurements
from portal.steering.models import Configuration, JudgedSet, Measurement

SLICE_S = 1.0
MOST_LISTED = 20
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("evaluate")
@click.option("--queries", type=_FILE, help="A file of queries, queries.jsonl.")
@click.option("--qrels", type=_FILE, help="A file of judgements, qrels.tsv.")
@click.option("--source", help="Search only what was imported under this name.")
@click.option("--set", "set_name", help="Measure on a set that editors keep, and keep the result.")
@click.option("--clicks", "is_by_clicks", is_flag=True, help="Estimate from readers' clicks, and keep the result.")
@click.option("--configuration", "configuration_name", help="Measure this configuration and not the one in use.")
@click.option("--history", is_flag=True, help="Print what was measured so far, by set and over time.")
@click.option("--worst", type=click.IntRange(0, 100), default=0, help="Also list so many of the worst queries.")
@AS_JSON
def evaluate(
    *,
    queries: Path | None,
    qrels: Path | None,
    source: str | None,
    set_name: str | None,
    is_by_clicks: bool,
    configuration_name: str | None,
    history: bool,
    worst: int,
    as_json: bool,
) -> None:
    """Measure the ranking on judged queries: nDCG@10, MRR@10, Recall@10."""
    ways = [queries is not None or qrels is not None, set_name is not None, is_by_clicks, history]
    if sum(ways) != 1 or (queries is None) != (qrels is None):
        raise click.UsageError("Give --queries and --qrels together, or one of --set, --clicks and --history.")
    if history:
        _print_history(as_json=as_json)
        return
    configuration = _configuration_named(configuration_name)
    if queries is not None and qrels is not None:
        _on_files(queries, qrels, source, configuration, worst=worst, as_json=as_json)
    else:
        judged_set = None if is_by_clicks else _set_named(set_name or "")
        _on_set(judged_set, configuration, worst=worst, as_json=as_json)


def _on_files(
    queries: Path,
    qrels: Path,
    source: str | None,
    configuration: Configuration | None,
    *,
    worst: int,
    as_json: bool,
) -> None:
    try:
        judged, unjudged = evaluation.load_judged(queries, qrels)
        unasked = evaluation.find_unasked(queries, qrels)
    except evaluation.JudgementError as error:
        raise click.ClickException(str(error)) from None
    unknown = judgements.find_unknown({name for query in judged for name in query.relevance}, source=source or "")
    _list(unasked, "judged queries stand in no line of the queries and are left out")
    _list(unknown, "judged documents are not in the portal and count as never found")
    guidance = in_force.read_with(configuration)
    viewer, filters = viewer_for(Role.ADMIN), {"source": (source,)} if source else {}
    scores = []
    try:
        for query in track(judged, description="Asking", console=Console(stderr=True), disable=as_json):
            began = time.perf_counter()
            hits = first_hits(engine(), viewer, query.text, filters=filters, guidance=guidance)
            took_ms = (time.perf_counter() - began) * 1000
            scores.append(evaluation.score(query, [_external_id(hit) for hit in hits], took_ms))
    except EngineError as error:
        raise click.ClickException(f"The search engine cannot answer: {error}") from None
    means = evaluation.mean(scores, unjudged=unjudged)
    if as_json:
        more = {"engine": engine().name, "unknown_queries": len(unasked), "unknown_documents": len(unknown)}
        click.echo(json.dumps(asdict(means) | more))
        return
    click.echo(
        f"nDCG@10 {means.ndcg_at_10:.4f}  MRR@10 {means.mrr_at_10:.4f}  Recall@10 {means.recall_at_10:.4f}  "
        f"({means.queries} queries, {unjudged} without judgement, {engine().name})"
    )
    for bad in sorted(scores, key=lambda s: s.ndcg)[:worst]:
        click.echo(f"  {bad.ndcg:.3f}  {bad.id}  {bad.text[:100]}")


def _on_set(judged_set: JudgedSet | None, configuration: Configuration | None, *, worst: int, as_json: bool) -> None:
    made = measurements.prepare(configuration, judged_set, engine_name=engine().name)
    made.state = "running"
    db.session.add(made)
    db.session.commit()
    while made.is_under_way:
        measurements.work(made, engine(), budget_s=SLICE_S)
        db.session.refresh(made)
    if made.state == "failed":
        raise click.ClickException(made.why_failed)
    if made.unknown_count:
        _list(made.unknown, "judged documents are not in the portal and count as never found", made.unknown_count)
    if as_json:
        click.echo(json.dumps(_row(made)))
        return
    click.echo(_told(made))
    for key, row in sorted(made.scores.items(), key=lambda entry: entry[1][0])[:worst]:
        click.echo(f"  {row[0]:.3f}  {key[:140]}")


def _print_history(*, as_json: bool) -> None:
    sets = [*((name, False) for name in measurements.load_names()), (clicks.NAME, True)]
    rows = [row for name, by_clicks in sets for row in measurements.load_history(name, is_by_clicks=by_clicks)]
    if as_json:
        click.echo(json.dumps([_row(row) for row in rows]))
        return
    table = Table("Set", "When", "Configuration", "nDCG@10", "MRR@10", "Recall@10", "Queries", "Engine", box=None)
    for row in rows:
        when = f"{row.at:%Y-%m-%d %H:%M}"
        numbers = (f"{value:.4f}" for value in (row.ndcg, row.mrr, row.recall))
        configuration = row.configuration_name or "the product's own"
        table.add_row(row.set_name, when, configuration, *numbers, str(row.queries), row.engine)
    Console(width=140).print(table)


def _row(made: Measurement) -> dict[str, object]:
    return {
        "set": made.set_name,
        "configuration": made.configuration_name or None,
        "at": made.at.isoformat(),
        "ndcg_at_10": made.ndcg,
        "mrr_at_10": made.mrr,
        "recall_at_10": made.recall,
        "queries": made.queries,
        "unknown_documents": made.unknown_count,
        "engine": made.engine,
    }


def _told(made: Measurement) -> str:
    return (
        f"nDCG@10 {made.ndcg:.4f}  MRR@10 {made.mrr:.4f}  Recall@10 {made.recall:.4f}  "
        f"({made.queries} queries of {made.set_name!r}, {made.engine})"
    )


def _configuration_named(name: str | None) -> Configuration | None:
    if name is None:
        return configurations.find_active()
    if name == "product":
        return None
    found = db.session.scalar(select(Configuration).where(Configuration.name == name))
    if found is None:
        raise click.ClickException(
            f"There is no configuration {name!r}. Give the name of one, or `product` for the product's own weights."
        )
    return found


def _set_named(name: str) -> JudgedSet:
    found = db.session.scalar(select(JudgedSet).where(JudgedSet.name == name))
    if found is None:
        names = ", ".join(repr(judged_set.name) for judged_set in judgements.load_sets()) or "none yet"
        raise click.ClickException(f"There is no set {name!r}. The sets are: {names}.")
    return found


def _list(names: Sequence[str], what: str, count: int | None = None) -> None:
    """Say on stderr how many ids are not known, and which."""
    count = len(names) if count is None else count
    if count:
        more = ", …" if count > MOST_LISTED else ""
        click.echo(f"{count} {what}: {', '.join(names[:MOST_LISTED])}{more}", err=True)


def _external_id(hit: Hit) -> str:
    return hit.external_id or hit.id


commands = [evaluate]
