"""Portals made once in a run and copied for each test: copying is many times as fast as making."""

import pickle
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from flask import Flask
from jinja2 import BytecodeCache
from sqlalchemy import text

import portal.app
from indexer import rebuild
from indexer.rebuild import Rebuild
from portal import migrating
from portal.extensions import db
from portal.search.current import make_engine
from portal.search.engine import SearchEngine
from portal.settings import Settings
from tests.people import People, make_people

FILLING = "tests.filling"
SECRET = "a secret for tests that is long enough"
DATABASE = "casebook.sqlite3"
PEOPLE = "people"


def settings_in(folder: Path, **more: str) -> Settings:
    """Return the settings of a development portal whose data lie in a folder: `settings_in(tmp_path, port="8001")`."""
    own = {"CASEBOOK_DATA_DIR": str(folder), "CASEBOOK_SECRET_KEY": SECRET}
    return Settings.from_environ(own | {f"CASEBOOK_{name.upper()}": value for name, value in more.items()})


@dataclass(frozen=True)
class Filling:
    """What a copied portal holds already."""

    people: People | None = None
    has_index: bool = False


@dataclass
class Moulds:
    """Portals made once, whose folders are copied: one with tables, one with people, too, and one with an index."""

    parent: Path
    cache: BytecodeCache

    def fill(self, settings: Settings, wanted: Container[str]) -> Filling:
        """Copy into a portal's empty folder as much of what a test wants as was made before."""
        if not settings.is_sqlite:
            return Filling()
        target = Path(settings.database_url.removeprefix("sqlite:///"))
        if settings.secret_key != SECRET or ("people" not in wanted and "library" not in wanted):
            shutil.copyfile(self._folder("tables") / DATABASE, target)
            return Filling()
        has_index = "library" in wanted and settings.is_embedded_search
        mould = self._folder("index" if has_index else "people")
        shutil.copyfile(mould / DATABASE, target)
        if has_index:
            shutil.copytree(mould / "index", settings.data_dir / "index")
        people = pickle.loads((mould / PEOPLE).read_bytes())  # noqa: S301  Written below.
        return Filling(people=people, has_index=has_index)

    def _folder(self, name: str) -> Path:
        """Return a portal's folder; whichever process of the run wants it first makes it, and the others wait."""
        folder = self.parent / name
        if not folder.exists():
            with (self.parent / f"{name}.lock").open("w") as lock:
                flock(lock, LOCK_EX)
                if not folder.exists():
                    making = folder.with_suffix(".making")
                    getattr(self, f"_make_{name}")(making)
                    making.rename(folder)
        return folder

    def _make_tables(self, folder: Path) -> None:
        folder.mkdir()
        with self._portal(folder):
            migrating.upgrade()

    def _make_people(self, folder: Path) -> None:
        shutil.copytree(self._folder("tables"), folder)
        with self._portal(folder):
            (folder / PEOPLE).write_bytes(pickle.dumps(make_people()))

    def _make_index(self, folder: Path) -> None:
        shutil.copytree(self._folder("people"), folder)
        with self._portal(folder) as made:
            settings = made.extensions["casebook.settings"]
            engine = make_engine(settings, for_writing=True)
            build_index(engine, settings.search_prefix)
            engine.close()

    @contextmanager
    def _portal(self, folder: Path) -> Iterator[Flask]:
        made = portal.app.create_app(settings_in(folder))
        made.jinja_env.bytecode_cache = self.cache
        with made.app_context():
            yield made
            db.session.rollback()
            db.session.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            db.session.remove()
            db.engine.dispose()


def build_index(engine: SearchEngine, prefix: str) -> None:
    """Make a live index of what is in the database; its name begins with the prefix."""
    rebuild.ensure_index(engine, prefix)
    work = Rebuild(engine, "tests", prefix)
    while work.step():
        pass
    work.let_go()
