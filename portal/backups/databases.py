"""The database as one file, and back: SQLite's own online copy, PostgreSQL's own `pg_dump` and `pg_restore`.

Both see one moment of the database however long they take, and writers do not wait for them.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, inspect

from portal.backups.copying import copy_file
from portal.errors import OperationError

FILE_NAMES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
"""What the file is called, by SQLAlchemy's name of the database."""
Ask = Callable[[str], Sequence[Any]]
"""Runs a SELECT and returns its rows."""


class DatabaseNotCopied(OperationError):
    """The database could not be written into a file or read from one; the text says why and what to do."""


@contextmanager
def copied(engine: Engine, path: Path) -> Iterator[Ask]:
    """Write the database to a new file, and give a way to ask about exactly what that file holds.

    Raises:
        DatabaseNotCopied: the database or its programs refused.
    """
    copy = _copy_postgresql if engine.dialect.name == "postgresql" else _copy_sqlite
    with copy(engine, path) as ask:
        yield ask


def put_back(engine: Engine, path: Path) -> None:
    """Replace a database that holds nothing by what a file holds, all or nothing.

    Raises:
        DatabaseNotCopied: the database or its programs refused.
    """
    if engine.dialect.name == "postgresql":
        _run("pg_restore", engine.url, "--clean", "--if-exists", "--single-transaction", "--exit-on-error", str(path))
    else:
        _put_back_sqlite(engine, path)


def asking(connection: Connection) -> Ask:
    """Return a way to ask about what a connection sees."""
    return lambda statement: connection.exec_driver_sql(statement).fetchall()


def count_rows(ask: Ask, tables: Sequence[str]) -> dict[str, int]:
    """Return how many rows each table has."""
    return {name: int(ask(f'SELECT count(*) FROM "{name}"')[0][0]) for name in tables}  # noqa: S608  Names of tables.


def tables_of(engine: Engine) -> list[str]:
    """Return the names of all tables that are there, in alphabetical order."""
    return sorted(inspect(engine).get_table_names())


@contextmanager
def _copy_sqlite(engine: Engine, path: Path) -> Iterator[Ask]:
    try:
        source = sqlite3.connect(f"file:{engine.url.database}?mode=ro", uri=True)
        with closing(source), closing(sqlite3.connect(path)) as copy:
            source.backup(copy)
            # One file, that no journal belongs to.
            copy.execute("PRAGMA journal_mode=DELETE")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            _refuse_damaged(connection, path)
            yield lambda statement: connection.execute(statement).fetchall()
    except sqlite3.Error as error:
        raise DatabaseNotCopied(f"SQLite could not be copied: {error}. Run `casebook doctor`.") from None


@contextmanager
def _copy_postgresql(engine: Engine, path: Path) -> Iterator[Ask]:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        _run("pg_dump", engine.url, "--format=custom", f"--snapshot={snapshot}", f"--file={path}")
        yield asking(connection)


def _put_back_sqlite(engine: Engine, path: Path) -> None:
    place = Path(str(engine.url.database))
    beside = place.with_name(f"{place.name}.restoring")
    engine.dispose()
    try:
        copy_file(path, beside)
        with closing(sqlite3.connect(f"file:{beside}?mode=ro", uri=True)) as connection:
            _refuse_damaged(connection, path)
        for journal in ("-wal", "-shm"):
            Path(f"{place}{journal}").unlink(missing_ok=True)
        beside.replace(place)
    except sqlite3.Error as error:
        raise DatabaseNotCopied(f"{path} is no database that can be used: {error}. Take another backup.") from None
    finally:
        beside.unlink(missing_ok=True)


def _refuse_damaged(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DatabaseNotCopied(f"{path} is damaged: {found}. Run `casebook doctor`.")


def _run(program: str, url: URL, *options: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by its environment, where no list of processes shows it."""
    found = shutil.which(program)
    if found is None:
        raise DatabaseNotCopied(
            f"{program} is not on this machine. Install PostgreSQL's client programs (Debian: postgresql-client), "
            "of the server's version or newer."
        )
    command = [found, "--no-owner", "--no-privileges", "--no-password", f"--dbname={_address(url)}", *options]
    environ = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        told = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise DatabaseNotCopied(f"{program} refused: {told}")


def _address(url: URL) -> str:
    """Return an address as libpq reads it, without the password."""
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query).render_as_string()
