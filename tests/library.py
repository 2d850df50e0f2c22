"""A real embedded index behind a portal under test: what is saved is found after `library.catch_up()`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from indexer import rebuild, sync
from indexer.rebuild import Rebuild
from portal.extensions import db
from portal.knowledge import articles
from portal.knowledge.models import Article
from portal.search.current import EXTENSION, GUIDANCE, make_engine
from portal.search.engine import SearchEngine
from tests.people import People

HOLDER = "tests"


@dataclass(frozen=True)
class Library:
    """Writes articles as an editor and lets the index catch up."""

    app: Flask
    engine: SearchEngine
    people: People

    def write(self, title: str, body: str = "Text.", *, state: str = "published", **changes: Any) -> Article:
        """Write an FAQ; published unless said otherwise."""
        return articles.create(
            by=self.people.dora.viewer, kind="faq", state=state, changes={"title": title, "body": body, **changes}
        )

    def catch_up(self) -> None:
        """Let the index hold everything that was saved."""
        report = sync.drain(self.engine, HOLDER)
        assert not report.trouble, report.trouble
        db.session.rollback()


@pytest.fixture
def library(app: Flask, people: People) -> Iterator[Library]:
    """An empty index of the embedded engine, read by the portal's pages."""
    engine = make_engine(app.extensions["casebook.settings"], for_writing=True, guidance=app.extensions[GUIDANCE])
    rebuild.ensure_index(engine, "tests")
    work = Rebuild(engine, HOLDER, "tests")
    while work.step():
        pass
    work.let_go()
    app.extensions[EXTENSION] = engine
    yield Library(app, engine, people)
    engine.close()
