"""`casebook …`: every command.  What can be foreseen ends with a sentence on stderr and 1, wrong usage with 2.

Only the module of the command that is run is loaded: a process that serves for weeks would keep all of them.
"""

import importlib
import os
import sys
import tomllib
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from portal import commands
from portal.access import Forbidden
from portal.errors import OperationError
from portal.settings import SettingsError

STOPPED = 130
"""What a shell expects of a program that Ctrl-C ended."""
MARK = "runs_in_application"


MODULES = {
    "backup": "backups",
    "demo": "demo",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "export": "imports",
    "import": "imports",
    "index": "index",
    "init": "run",
    "keys": "keys",
    "restore": "backups",
    "search": "search",
    "token": "accounts",
    "up": "run",
    "user": "accounts",
    "web": "server",
    "worker": "run",
}
"""Which module of `portal.commands` has which command."""


class Casebook(click.Group):
    """The commands, each loaded when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name them all."""
        return sorted(MODULES)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one; None where there is none of this name."""
        if cmd_name not in MODULES:
            return None
        module = importlib.import_module(f"{commands.__name__}.{MODULES[cmd_name]}")
        inside, bare = (getattr(module, name, []) for name in ("commands", "bare_commands"))
        command: click.Command = next(command for command in (*inside, *bare) if command.name == cmd_name)
        if command in inside:
            _give_application(command)
        return command


def build() -> click.Group:
    """Make the group of all commands."""
    group = Casebook(
        "casebook",
        help="Casebook: a search-centric knowledge base and service desk portal.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    return click.version_option(_version(), message="%(version)s")(group)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        outcome = build().main(arguments, prog_name="casebook", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return STOPPED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has enough; Python must not complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = _foreseen(error)
        if sentence is None:
            raise
        click.echo(f"Error: {sentence}", err=True)
        return 1
    return outcome if isinstance(outcome, int) else 0


def _foreseen(error: Exception) -> str | None:
    """Return the sentence for an error that needs no trace, or None."""
    if isinstance(error, SettingsError | OperationError | Forbidden):
        return str(error)
    if isinstance(error, OperationalError | ProgrammingError):
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if "no such table" in reason or ("relation" in reason and "does not exist" in reason):
            return f"The database has no tables yet ({reason}). Run `casebook init`."
        return f"The database refused: {reason}. `casebook doctor` says what is wrong."
    if isinstance(error, OSError):
        place = f" {error.filename!r}" if error.filename else ""
        return f"{error.strerror or error}{place}."
    return None


def _give_application(command: click.Command) -> None:
    """Let a command, or every command of a group, run inside an application context.

    The application is made when the command is called, so that `--help` and wrong usage need no settings.
    """
    if isinstance(command, click.Group):
        for part in command.commands.values():
            _give_application(part)
    elif command.callback is not None and not hasattr(command.callback, MARK):
        command.callback = _inside_application(command.callback)


def _inside_application(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def run_inside(*arguments: Any, **options: Any) -> Any:
        # Imported here because it brings all features with it, and `--help` should not wait for them.
        from portal.app import create_app

        with create_app().app_context():
            return run(*arguments, **options)

    setattr(run_inside, MARK, True)
    return run_inside


def _version() -> str:
    """Read the version where it is written: a checkout is run as it is and never installed."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    return str(project["project"]["version"])
