"""`casebook search` and `casebook evaluate`: the ranking from the command line."""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import track
from rich.table import Table
from sqlalchemy import func, or_, select

from portal.access import ANONYMOUS, Role, Viewer, viewer_for
from portal.accounts.models import User
from portal.extensions import db
from portal.search import evaluation
from portal.search.answer import answer
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.request import LONGEST_TEXT, RequestError, SearchRequest
from portal.search.results import Hit
from portal.search.schemas import result_to_json
from portal.search.sources import registry


def _viewer_named(name: str | None) -> Viewer:
    if name is None:
        return ANONYMOUS
    if name in set(Role):
        return viewer_for(Role(name))
    user = db.session.scalar(
        select(User).where(or_(User.with_email(name.strip().lower()), func.lower(User.name) == name.strip().lower()))
    )
    if user is None:
        raise click.ClickException(f"There is no user {name!r}. Give a user's e-mail address or a role.")
    return user.viewer


@click.command("search")
@click.argument("words")
@click.option("--as", "name", help="Whose eyes to search with: a user's e-mail address, or a role. Default: anonymous.")
@click.option("--kind", multiple=True, help="faq, case_study, record or customer; repeat it for several.")
@click.option("--size", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--explain", is_flag=True, help="Show each field's share of the score.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def search(*, words: str, name: str | None, kind: tuple[str, ...], size: int, explain: bool, as_json: bool) -> None:
    """Search as somebody and print the ranked hits."""
    try:
        asked = SearchRequest(
            viewer=_viewer_named(name), text=words, size=size, explain=explain, filters={"kind": kind} if kind else {}
        )
    except RequestError as error:
        raise click.ClickException(error.sentence) from None
    result = answer(asked, engine=engine(), registry=registry(), locale="en")
    if as_json:
        click.echo(json.dumps(result_to_json(result), ensure_ascii=False))
        return
    if result.degraded:
        click.echo("The search engine does not answer; only titles were searched.", err=True)
    table = Table("#", "Score", "Kind", "Title", "Address", box=None)
    for rank, hit in enumerate(result.hits, start=1):
        table.add_row(str(rank), f"{hit.score:.2f}", hit.kind, escape_markup(hit.title), hit.url)
        for reason in hit.matched_fields:
            table.add_row("", f"{reason.score:.3f}", "", f"  {escape_markup(reason.field)}", "")
    console = Console()
    console.print(table)
    console.print(f"{result.total} found in {result.took_ms:.1f} ms by {result.engine}")


@click.command("evaluate")
@click.option("--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--qrels", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--source", help="Search only what was imported under this name.")
@click.option("--worst", type=click.IntRange(0, 100), default=0, help="Also list so many of the worst queries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def evaluate(*, queries: Path, qrels: Path, source: str | None, worst: int, as_json: bool) -> None:
    """Measure the ranking on judged queries: nDCG@10, MRR@10, Recall@10."""
    try:
        judged, unjudged = evaluation.load_judged(queries, qrels)
    except evaluation.JudgementError as error:
        raise click.ClickException(str(error)) from None
    base = SearchRequest(
        viewer=viewer_for(Role.ADMIN),
        size=evaluation.CUT,
        filters={"source": (source,)} if source else {},
        with_facets=False,
        with_highlights=False,
        with_correction=False,
    )
    scores = []
    try:
        for query in track(judged, description="Asking", console=Console(stderr=True), disable=as_json):
            began = time.perf_counter()
            hits = engine().search(replace(base, text=query.text[:LONGEST_TEXT])).hits
            took_ms = (time.perf_counter() - began) * 1000
            scores.append(evaluation.score(query, [_external_id(hit) for hit in hits], took_ms))
    except EngineError as error:
        raise click.ClickException(f"The search engine cannot answer: {error}") from None
    means = evaluation.mean(scores, unjudged=unjudged)
    if as_json:
        click.echo(json.dumps(asdict(means) | {"engine": engine().name}))
        return
    click.echo(
        f"nDCG@10 {means.ndcg_at_10:.4f}  MRR@10 {means.mrr_at_10:.4f}  Recall@10 {means.recall_at_10:.4f}  "
        f"({means.queries} queries, {unjudged} without judgement, {engine().name})"
    )
    for bad in sorted(scores, key=lambda s: s.ndcg)[:worst]:
        click.echo(f"  {bad.ndcg:.3f}  {bad.id}  {bad.text[:100]}")


def _external_id(hit: Hit) -> str:
    return hit.external_id or hit.id


commands = [search, evaluate]
