"""The Flask extensions, unbound, and the one base class of all models.

SQLite and PostgreSQL are made to behave alike here: statements read committed data, and a transaction takes SQLite's
write lock at its first write and not before, so that writers queue on the busy timeout and never fail half-way.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from flask_babel import Babel
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    DateTime,
    Dialect,
    MetaData,
    Result,
    Select,
    Table,
    TypeDecorator,
    event,
    func,
    or_,
    select,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, QueryableAttribute, registry

T = TypeVar("T")
BUSY_TIMEOUT_S = 30
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.003, 0.02
READING = ("SELECT", "PRAGMA", "EXPLAIN")


class Moment(TypeDecorator[datetime]):
    """An aware UTC moment; SQLite keeps it naive, so it is labelled again when it comes back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive moments: a local time in the database would be silently wrong."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; moments are aware and in UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Label what SQLite returns as the UTC it was."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Return the present moment, aware and in UTC.  Tests patch the clock here."""
    return datetime.now(UTC)


def is_over(moment: QueryableAttribute[datetime | None], *, longest: timedelta) -> ColumnElement[bool]:
    """Build the condition that a moment, set at most so far ahead, has come.

    One that lies further ahead was set by a clock that was wrong: what waits for it must not wait until it comes.
    """
    at = now()
    return or_(moment <= at, moment > at + 2 * longest)


class Base(DeclarativeBase):
    """What every model inherits; constraint names are fixed so that migrations can speak of them."""

    # The registry is given whole because Flask-SQLAlchemy copies this class and shares what it finds here.
    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={datetime: Moment()},
    )


@event.listens_for(Table, "after_parent_attach")
def _never_number_twice(table: Table, _: MetaData) -> None:
    """Let SQLite, like PostgreSQL, give the number of a removed row to no other.

    A reference that somebody still holds, a late job or a tombstone would otherwise mean the wrong object.  Migrations
    write it as `sqlite_autoincrement=True`.
    """
    if table.metadata is Base.metadata and table.autoincrement_column is not None:
        table.dialect_options["sqlite"]["autoincrement"] = True


db = SQLAlchemy(model_class=Base)
login = LoginManager()
csrf = CSRFProtect()
babel = Babel()
limiter = Limiter(key_func=get_remote_address, in_memory_fallback_enabled=True, storage_uri="memory://")


def count_rows(wanted: Select[Any], column: Any) -> int:
    """Return how many rows a query gives; only `column` of them is read."""
    return db.session.scalar(select(func.count()).select_from(wanted.with_only_columns(column).subquery())) or 0


def count_affected(done: Result[Any]) -> int:
    """Return how many rows an UPDATE or DELETE touched."""
    # The result of either is a CursorResult; the session's own annotation is wider.
    return cast("CursorResult[Any]", done).rowcount


def twice_if_outrun(work: Callable[[], T]) -> T:
    """Do work that commits; once more, from the beginning, where somebody else has just made what it makes."""
    try:
        return work()
    except IntegrityError:
        db.session.rollback()
        return work()


def let_go_of_session(_error: BaseException | None = None) -> None:
    """Give the request's connection back; one that the database has closed costs nobody a finished answer."""
    try:
        db.session.remove()
    except DBAPIError:
        with suppress(DBAPIError):
            db.session().invalidate()
        db.session.registry.clear()


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, record: Any) -> None:  # noqa: ARG001  The driver's own types.
    if not isinstance(connection, sqlite3.Connection):
        return
    # Autocommit until our own BEGIN IMMEDIATE: the driver's deferred BEGIN would read first, then fail to upgrade
    # with "database is locked" at once, whatever the timeout.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "mmap_size=0",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@event.listens_for(Engine, "before_cursor_execute")
def _begin_at_first_write(
    connection: Connection, cursor: Any, statement: str, _parameters: Any, context: Any, _executemany: bool
) -> None:
    raw: Any = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection) or raw.in_transaction:
        return
    words = statement.lstrip().upper()
    if words.startswith("WITH") and context is not None:
        is_write = context.isinsert or context.isupdate or context.isdelete
    else:
        is_write = not words.startswith(READING)
    if is_write:
        _take_write_lock(cursor)


def _take_write_lock(cursor: Any) -> None:
    """Begin, in turn with other writers: the longer one has waited, the more often it asks.

    SQLite's own waiting does the opposite, so that whoever comes last is served first, and somebody waits for ever.
    """
    began = time.monotonic()
    cursor.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                waited_s = time.monotonic() - began
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or waited_s > BUSY_TIMEOUT_S:
                    raise
                time.sleep(max(SHORTEST_PAUSE_S, LONGEST_PAUSE_S - waited_s / 100))
            else:
                return
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
