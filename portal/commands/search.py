"""`casebook search`: the ranking from the command line."""

import json

import click
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table
from sqlalchemy import func, or_, select

from portal.access import ANONYMOUS, Role, Viewer, viewer_for
from portal.accounts.models import User
from portal.commands.options import AS_JSON
from portal.extensions import db
from portal.search.answer import answer
from portal.search.current import engine
from portal.search.request import RequestError, SearchRequest
from portal.search.schemas import result_to_json
from portal.search.sources import registry
from portal.search.why import Verdict, Why, explain_place, pinned_sentence, why_to_json


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
@click.option("--explain", is_flag=True, help="Show each field's share of the score, for a viewer of the staff.")
@click.option("--missing", help="Say why this document is not there: its id, number, slug or address.")
@AS_JSON
def search(
    *,
    words: str,
    name: str | None,
    kind: tuple[str, ...],
    size: int,
    explain: bool,
    missing: str | None,
    as_json: bool,
) -> None:
    """Search as somebody and print the ranked hits, or why one is missing."""
    try:
        asked = SearchRequest(
            viewer=_viewer_named(name), text=words, size=size, explain=explain, filters={"kind": kind} if kind else {}
        )
    except RequestError as error:
        raise click.ClickException(error.sentence) from None
    if missing is not None:
        _say_why(asked, missing, as_json=as_json)
        return
    result = answer(asked, engine=engine(), registry=registry(), locale="en")
    if as_json:
        click.echo(json.dumps(result_to_json(result), ensure_ascii=False))
        return
    if result.degraded:
        click.echo("The search engine does not answer; only titles were searched.", err=True)
    table = Table("#", "Score", "Kind", "Title", "Address", box=None)
    for rank, hit in enumerate(result.hits, start=1):
        table.add_row(str(rank), f"{hit.score:.2f}", hit.kind, escape_markup(hit.title), hit.url)
        if explain and hit.is_pinned and result.rules:
            table.add_row("", "", "", f"  {escape_markup(pinned_sentence(hit.score))}", "")
        for reason in hit.matched_fields:
            found = escape_markup(f"{reason.field}: {', '.join(reason.words)}")
            table.add_row("", f"{reason.score:.3f}", "", f"  {found}", "")
    console = Console()
    console.print(table)
    console.print(f"{result.total} found in {result.took_ms:.1f} ms by {result.engine}")


def _say_why(asked: SearchRequest, text: str, *, as_json: bool) -> None:
    why = explain_place(asked, text, asker=viewer_for(Role.ADMIN), engine=engine(), registry=registry())
    if as_json:
        click.echo(json.dumps(why_to_json(why), ensure_ascii=False))
    else:
        _print_why(why)
    if why.verdict == Verdict.UNKNOWN:
        raise click.exceptions.Exit(1)


def _print_why(why: Why) -> None:
    click.echo(why.sentence, err=why.verdict == Verdict.UNKNOWN)
    if why.verdict == Verdict.UNKNOWN:
        return
    click.echo(f"{why.document_id}  {why.title}  {why.url}")
    if why.versions is not None:
        click.echo(f"saved version {why.versions[0]}, indexed version {why.versions[1]}")
    console = Console()
    if why.differences:
        table = Table("Field", "Here", f"Rank {why.ahead_rank}", "Difference", box=None)
        for line in why.differences:
            table.add_row(escape_markup(line.field), f"{line.own:.3f}", f"{line.other:.3f}", f"{line.gain:+.3f}")
        table.add_row("score", f"{why.score:.3f}", f"{why.ahead_score:.3f}", f"{why.ahead_score - why.score:+.3f}")
        console.print(table)
        return
    for field in why.fields:
        click.echo(f"  {field.score:.3f}  {field.field}: {', '.join(field.words)}")


commands = [search]
