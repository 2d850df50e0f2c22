"""A real index behind a portal under test: what is saved is found after `library.catch_up()`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from indexer import sync
from portal.extensions import db
from portal.knowledge import articles
from portal.knowledge.models import Article
from portal.search.current import EXTENSION, GUIDANCE, make_engine
from portal.search.engine import SearchEngine
from portal.settings import Settings
from tests.moulds import FILLING, build_index
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
    """An empty index of the engine that the settings name, read by the portal's pages."""
    settings: Settings = app.extensions["casebook.settings"]
    engine = make_engine(settings, for_writing=True, guidance=app.extensions[GUIDANCE])
    if not app.extensions[FILLING].has_index:
        build_index(engine, settings.search_prefix)
    app.extensions[EXTENSION] = engine
    yield Library(app, engine, people)
    engine.close()
