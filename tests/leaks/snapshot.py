"""What a portal's PostgreSQL database holds at one moment, what has changed since, and the way back."""

from collections.abc import Iterator
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from portal.extensions import db

Row = dict[str, Any]


class Snapshot:
    """All rows of all tables as they are now; `restore()` puts them back in their places.  Over with its `with`."""

    def __init__(self, *, ignored: frozenset[str] = frozenset()) -> None:
        """`ignored` are tables whose changes nobody asks for; they are put back like the others."""
        url = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._live = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        tables = sorted(db.metadata.tables)
        self._keys = {
            name: [column.name for column in db.metadata.tables[name].primary_key]
            for name in tables
            if name not in ignored
        }
        self._run("CREATE SCHEMA kept", *(f'CREATE TABLE kept."{name}" AS TABLE public."{name}"' for name in tables))
        self._back = (
            # Neither order nor triggers matter: what is put back fitted together when it was kept.
            "SET LOCAL session_replication_role = replica",
            *(f'DELETE FROM public."{name}"' for name in tables),
            *(f'INSERT INTO public."{name}" TABLE kept."{name}"' for name in tables),
        )
        self._before = self._read()
        self._seen = self._written()

    def changes(self) -> Iterator[tuple[str, Row | None, Row | None]]:
        """Yield table, and the row before and after, of each row that is not as it was."""
        if self._written() == self._seen:
            return
        for name, rows in self._read().items():
            old = self._before[name]
            for key in rows.keys() | old.keys():
                if rows.get(key) != old.get(key):
                    yield name, old.get(key), rows.get(key)

    def restore(self) -> None:
        """Let everything be as it was; the session of the database is over then."""
        db.session.remove()
        if self._written() != self._seen:
            self._run(*self._back)
            self._seen = self._written()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._run("DROP SCHEMA kept CASCADE")
        self._live.close()

    def _written(self) -> object:
        """Return how far the server has written its log: whoever changes a row moves it on."""
        return self._live.execute("SELECT pg_current_wal_insert_lsn() AS at").fetchall()

    def _read(self) -> dict[str, dict[tuple[Any, ...], Row]]:
        return {
            name: {tuple(row[key] for key in keys): row for row in self._live.execute(f'SELECT * FROM "{name}"')}
            for name, keys in self._keys.items()
        }

    def _run(self, *statements: str) -> None:
        with self._live.transaction():
            self._live.execute(";".join(statements))
