"""`casebook search`: the ranking from the command line."""

import json

import click
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table
from sqlalchemy import func, or_, select

from portal.access import ANONYMOUS, Role, Viewer, viewer_for
from portal.accounts.models import User
from portal.extensions import db
from portal.search.answer import answer
from portal.search.current import engine
from portal.search.request import RequestError, SearchRequest
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


commands = [search]
