"""`casebook import` and `casebook export`: whole files in and out."""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from flask import current_app

from portal import outbox
from portal.access import Role, viewer_for
from portal.commands.watch import Watch
from portal.customers import batches as customer_batches
from portal.imports import run, tables, writing
from portal.imports.reading import UnreadableError
from portal.knowledge import batches
from portal.service import batches as record_batches

EXISTING_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
Command = TypeVar("Command")


@click.group("import")
def import_() -> None:
    """Take a JSONL, CSV or XLSX file in."""


def _options(command: Command) -> Command:
    """Add what the three imports share."""
    options: tuple[Any, ...] = (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else."),
        click.option("--restart", is_flag=True, help="Begin at the first line, also after a run that was stopped."),
        click.option("--dry-run", is_flag=True, help="Check every line and change nothing."),
        click.option("--source", required=True, help="Where the file comes from; ids are unique within it."),
        click.argument("file", type=EXISTING_FILE),
    )
    for option in options:
        command = option(command)
    return command


@import_.command("articles")
@click.option("--kind", type=click.Choice(["faq", "case_study"]), default="faq", show_default=True)
@click.option("--audience", type=click.Choice(["public", "customers", "internal"]), default="public", show_default=True)
@click.option("--state", type=click.Choice(["published", "draft"]), default="published", show_default=True)
@_options
def import_articles(
    *, file: Path, source: str, dry_run: bool, restart: bool, as_json: bool, kind: str, audience: str, state: str
) -> None:
    """Take articles in: one a line, `{"id","title","text","lang","url"?,"meta":{…}}`."""
    take = partial(
        batches.import_batch, source=source, kind=kind, audience=audience, state=state, by=None, dry_run=dry_run
    )
    _import(file, take, f"articles\0{source}", dry_run=dry_run, restart=restart, as_json=as_json)


@import_.command("records")
@_options
def import_records(*, file: Path, source: str, dry_run: bool, restart: bool, as_json: bool) -> None:
    """Take service records in."""
    take = partial(record_batches.import_batch, source=source, by=None, dry_run=dry_run)
    _import(file, take, f"records\0{source}", dry_run=dry_run, restart=restart, as_json=as_json)


@import_.command("customers")
@_options
def import_customers(*, file: Path, source: str, dry_run: bool, restart: bool, as_json: bool) -> None:
    """Take customer profiles in."""
    take = partial(customer_batches.import_batch, source=source, by=None, dry_run=dry_run)
    _import(file, take, f"customers\0{source}", dry_run=dry_run, restart=restart, as_json=as_json)


def _import(file: Path, take: run.Take, purpose: str, *, dry_run: bool, restart: bool, as_json: bool) -> None:
    data_dir = current_app.extensions["casebook.settings"].data_dir
    checkpoint = None if dry_run else run.Checkpoint(data_dir / "imports", file, purpose)
    if checkpoint and restart:
        checkpoint.clear()
    began = time.monotonic()
    report = run.Report()
    try:
        with Watch("Taking lines in", quiet=as_json) as watch:
            for report in run.run(file, take, checkpoint=checkpoint):
                watch.show("Taking lines in", report.lines)
    except UnreadableError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on behind the last line that was taken.", err=True)
    seconds = round(time.monotonic() - began, 2)
    if as_json:
        pending = outbox.pending_count()
        click.echo(json.dumps({**report.to_json(), "dry_run": dry_run, "seconds": seconds, "pending": pending}))
    else:
        _print(report, seconds=seconds, dry_run=dry_run)
    if report.refused_count or not report.is_finished:
        sys.exit(1)


def _print(report: run.Report, *, seconds: float, dry_run: bool) -> None:
    if report.resumed_at_line:
        click.echo(f"Went on at line {report.resumed_at_line}, where the last run had stopped.")
    would = "would be " if dry_run else ""
    rate = report.lines / seconds if seconds else 0.0
    click.echo(
        f"{report.lines} lines in {seconds:.1f} s ({rate:.0f}/s): {would}{report.created} created, "
        f"{report.updated} updated, {report.unchanged} unchanged, {report.refused_count} refused."
    )
    for refusal in report.refused:
        click.echo(f"  line {refusal.line}{f' ({refusal.id})' if refusal.id else ''}: {refusal.reason}", err=True)
    if report.refused_count > len(report.refused):
        click.echo(f"  … and {report.refused_count - len(report.refused)} more", err=True)
    pending = outbox.pending_count()
    if pending and not dry_run:
        click.echo(f"{pending} documents wait for the indexer; `casebook index status` shows how far it is.")


@click.command("export")
@click.argument("kind", type=click.Choice(list(tables.EXPORTS)))
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--format", "form", type=click.Choice(writing.FORMATS), help="Default: by the file's ending.")
def export(*, kind: str, file: Path, form: str | None) -> None:
    """Write all articles, records or customers into a file.  What was exported as JSONL can be imported again."""
    form = form or file.suffix.lower().lstrip(".")
    if form not in writing.FORMATS:
        raise click.UsageError(f"{file.name!r} ends in none of {', '.join(writing.FORMATS)}; give --format.")
    lines = tables.rows(tables.EXPORTS[kind], viewer_for(Role.ADMIN))
    try:
        if form == "jsonl":
            count = writing.write(file, form, tables.LINE, lines)
        else:
            count = writing.write(file, form, tables.table_columns(kind), map(tables.as_table_row, lines))
    except OSError as error:
        raise click.ClickException(f"{str(file)!r} cannot be written: {error.strerror}.") from None
    click.echo(f"{count} {kind} written to {file}")


commands = [import_, export]
