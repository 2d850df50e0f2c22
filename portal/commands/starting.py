"""What processes do before they begin: the log, the data folder, the tables, the port."""

import logging
import socket
import sys
import tempfile
from pathlib import Path

import click
from flask import current_app

from portal.health.state import is_migrated
from portal.settings import Settings

BACKLOG = 512


def settings_of_process() -> Settings:
    """Return what the operator decided."""
    settings: Settings = current_app.extensions["casebook.settings"]
    return settings


def say(sentence: str) -> None:
    """Tell the operator."""
    click.echo(sentence, err=True)


def set_up_logging() -> None:
    """Write what the processes have to say to stderr, a line each."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


def check_data_folder(folder: Path) -> None:
    """Refuse a data folder that cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"Casebook")
    except OSError as error:
        raise click.ClickException(
            f"CASEBOOK_DATA_DIR: {str(folder)!r} cannot be written ({error.strerror}). "
            "Choose a folder that the portal's user may write."
        ) from None


def require_tables(settings: Settings) -> None:
    """Refuse to begin on a database that `casebook init` has not seen."""
    check_data_folder(settings.data_dir)
    if not is_migrated():
        raise click.ClickException("The database does not have this version's tables. Run `casebook init` first.")


def listen(settings: Settings) -> socket.socket:
    """Open the port.

    Raises:
        click.ClickException: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((settings.host, settings.port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise click.ClickException(
            f"Casebook cannot listen on {settings.host} port {settings.port} ({error.strerror}). "
            "Stop what uses it, or set CASEBOOK_PORT and CASEBOOK_HOST."
        ) from None
    return opened
