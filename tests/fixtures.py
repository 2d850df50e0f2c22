"""A portal on a fresh SQLite database, and the guard that no indexed object changes without its outbox row."""

import copy
import gc
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from operator import attrgetter
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar

import pytest
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Session
from sqlalchemy.util import LRUCache
from werkzeug.routing import Map, Rule, RuleFactory
from werkzeug.routing.matcher import StateMachineMatcher

import portal.app
from portal import cli, outbox
from portal.accounts import passwords
from portal.accounts.passwords import HASHER, NOBODYS
from portal.extensions import db
from portal.settings import Settings
from tests.moulds import FILLING, Filling, Moulds, settings_in
from tests.people import Browser, People, make_people

CHANGED = "tests.changed"
LONGEST = (
    "tests/relevance/test_gate.py",
    "tests/indexer/test_shaping.py",
    "tests/test_bombs.py",
    "tests/attachments/test_attachments.py",
    "tests/strain",
    "tests/test_markup.py",
    "tests/backups",
    "tests/demo",
    "tests/journeys/test_accessibility.py",
)
"""What holds tests of several seconds each, by where their names begin."""
SAID = attrgetter(
    *("rule", "endpoint", "subdomain", "host", "strict_slashes", "merge_slashes", "provide_automatic_options"),
    *("build_only", "alias", "redirect_to", "websocket"),
)
"""What an address is made of, but its methods and defaults."""
STATEMENTS: LRUCache[Any, Any] = LRUCache(2_000)


class SharedMap(Map):
    """Addresses that are compiled once for all portals that have the same.

    They are compared when the first of them is looked for; what is added later is known to this portal alone.
    """

    _compiled: ClassVar[dict[tuple[object, ...], tuple[StateMachineMatcher, dict[Any, list[Rule]]]]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._given: list[Rule] = []
        super().__init__(*args, **kwargs)

    def add(self, rulefactory: RuleFactory) -> None:
        """Take an address, or several, for later."""
        self._given += rulefactory.get_rules(self)
        self._remap = True

    def update(self) -> None:
        """Compile what was added since, or take it from another portal."""
        with self._remap_lock:
            if not self._remap:
                return
            key = (self.host_matching, *self.converters.items(), *map(_what_it_says, self._given))
            if key not in self._compiled:
                self._compiled[key] = self._compile()
            self._matcher, self._rules_by_endpoint = self._compiled[key]
            self._remap = False

    def _compile(self) -> tuple[StateMachineMatcher, dict[Any, list[Rule]]]:
        made = Map(converters=self.converters, host_matching=self.host_matching)
        for rule in self._given:
            made.add(copy.copy(rule))
        made.update()
        return made._matcher, made._rules_by_endpoint


def _what_it_says(rule: Rule) -> tuple[object, ...]:
    return (*SAID(rule), frozenset(rule.methods or ()), repr(rule.defaults))


class CompiledTemplates(FileSystemBytecodeCache):
    """Compiled templates in files that all processes of a run share; each process reads a file once."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._read: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give the bucket its code, if there is any."""
        code = self._read.get((bucket.key, bucket.checksum))
        if code is None:
            super().load_bytecode(bucket)
            code = bucket.code
        if code is not None:
            bucket.code = self._read[bucket.key, bucket.checksum] = code


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a development portal in a folder of its own."""
    return settings_in(tmp_path)


@pytest.fixture(scope="session")
def moulds(tmp_path_factory: pytest.TempPathFactory) -> Moulds:
    """Portals to copy, and their compiled templates: made once in a run, whichever process makes them."""
    whole_run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        whole_run = whole_run.parent
    for folder in ("moulds", "templates"):
        (whole_run / folder).mkdir(exist_ok=True)
    return Moulds(parent=whole_run / "moulds", cache=CompiledTemplates(str(whole_run / "templates")))


@pytest.fixture
def app(request: pytest.FixtureRequest, settings: Settings, moulds: Moulds) -> Iterator[Flask]:
    """A portal with empty tables; an application context is pushed for the test."""
    filling = moulds.fill(settings, request.fixturenames)
    made = portal.app.create_app(settings)
    made.config["TESTING"] = True
    made.extensions[FILLING] = filling
    made.test_client_class = Browser
    made.jinja_env.bytecode_cache = moulds.cache
    with made.app_context():
        if not settings.is_sqlite:
            db.create_all()
        yield made
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def people(app: Flask) -> People:
    """The named people, in the database."""
    filling: Filling = app.extensions[FILLING]
    return filling.people or make_people()


@pytest.fixture
def casebook(
    app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command on this test's portal; returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("CASEBOOK_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("CASEBOOK_SECRET_KEY", settings.secret_key)

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", StringIO(stdin))
        code = cli.main(list(arguments))
        db.session.expire_all()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run on several cores, the longest begin first: none is left to one core at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it again, nor after every few objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def addresses_compiled_once() -> Iterator[None]:
    """Hundreds of portals are made in a run, with the same addresses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "url_map_class", SharedMap)
        yield


@pytest.fixture(scope="session", autouse=True)
def passwords_hashed_in_no_time() -> Iterator[None]:
    """Hash passwords as `people.PASSWORD_HASH` was; `dear_passwords` is for tests of what hashing costs."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "HASHER", cheap)
        patch.setattr(passwords, "NOBODYS", cheap.hash("nobody's"))
        yield


@pytest.fixture
def dear_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as the portal does."""
    monkeypatch.setattr(passwords, "HASHER", HASHER)
    monkeypatch.setattr(passwords, "NOBODYS", NOBODYS)


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """Each portal of a run has an engine of its own, which would compile every statement anew.

    Dialects of one class compile alike: here all of them speak to the same server or library.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DefaultDialect, "__eq__", lambda one, other: type(one) is type(other))
        patch.setattr(DefaultDialect, "__hash__", lambda dialect: hash(type(dialect)))
        yield


@event.listens_for(Engine, "engine_connect")
def _share_statements(connection: Connection) -> None:
    connection.engine._compiled_cache = STATEMENTS


@event.listens_for(Engine, "connect")
def _do_not_wait_for_the_disk(connection: object, _record: object) -> None:
    """No test outlives a power cut, so none waits for the disk to say that it would."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@event.listens_for(Session, "after_flush")
def _remember_changes(session: Session, _context: object) -> None:
    """Collect the indexed objects, or owners of parts, that a flush changed."""
    changed = session.info.setdefault(CHANGED, set())
    for thing in [*session.new, *session.dirty, *session.deleted]:
        if thing in session.dirty and not session.is_modified(thing):
            continue
        kind = getattr(type(thing), "indexed_kind", None)
        if kind is not None:
            changed.add((kind, thing.id))


@event.listens_for(Session, "after_commit")
def _compare_with_outbox(session: Session) -> None:
    changed = session.info.pop(CHANGED, set())
    recorded = session.info.pop(outbox.RECORDED, set())
    missing = changed - recorded
    if missing:
        session.info.setdefault("tests.unrecorded", set()).update(missing)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(CHANGED, None)
    session.info.pop(outbox.RECORDED, None)


@pytest.fixture(autouse=True)
def every_change_is_recorded() -> Iterator[None]:
    """Fail a test that committed a change to an indexed object without its outbox row."""
    unrecorded: set[tuple[str, int]] = set()

    def collect(session: Session) -> None:
        unrecorded.update(session.info.pop("tests.unrecorded", set()))

    event.listen(Session, "after_commit", collect)
    try:
        yield
    finally:
        event.remove(Session, "after_commit", collect)
    assert not unrecorded, f"changed without outbox.record: {sorted(unrecorded)}"
