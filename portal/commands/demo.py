"""`casebook demo`: content to look around in, and somebody of each role to look with."""

import json
from dataclasses import asdict

import click
from flask import current_app
from rich.console import Console
from rich.table import Table

from portal.commands.options import AS_JSON
from portal.demo.load import Loaded, load_demo


@click.command("demo")
@AS_JSON
def demo(*, as_json: bool) -> None:
    """Load the demo content; safe to repeat.  Refused in production."""
    loaded = load_demo(settings=current_app.extensions["casebook.settings"])
    if as_json:
        click.echo(json.dumps({"added": loaded.added, "sign_ins": [asdict(one) for one in loaded.sign_ins]}))
    else:
        _print(loaded)


def _print(loaded: Loaded) -> None:
    if loaded.is_new:
        told = ", ".join(f"{count} {kind}" for kind, count in loaded.added.items() if count)
        click.echo(f"The demo is loaded: {told}.")
    else:
        click.echo("The demo is loaded already; nothing was changed.")
    table = Table("role", "e-mail", "password", box=None, pad_edge=False)
    for one in loaded.sign_ins:
        table.add_row(one.role, one.email, one.password or "(changed since)")
    Console().print(table)


commands = [demo]
