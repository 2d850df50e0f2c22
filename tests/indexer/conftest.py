"""A portal with an index in memory, and the few objects that the indexer's tests write."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from flask import Flask
from sqlalchemy import event

from indexer import rebuild, sync
from indexer.rebuild import Rebuild
from indexer.sync import Drained
from portal import outbox
from portal.extensions import db
from portal.knowledge.models import Article
from tests.indexer.memory_engine import MemoryEngine

HOLDER = "worker-1"


def save_article(title: str, **fields: object) -> Article:
    """Store a published article as an operation would."""
    known = {"kind": "faq", "state": "published", "slug": f"s-{title}", "sections": []} | fields
    article = Article(title=title, **known)
    db.session.add(article)
    outbox.record(article)
    db.session.commit()
    return article


def save_articles(count: int) -> list[Article]:
    """Store several in one transaction."""
    articles = [
        Article(title=f"number {n}", kind="faq", state="published", slug=f"n-{n}", sections=[]) for n in range(count)
    ]
    db.session.add_all(articles)
    outbox.record(*articles)
    db.session.commit()
    return articles


def change(article: Article, title: str) -> None:
    """Change an article as an operation would."""
    article.title = title
    outbox.record(article)
    db.session.commit()


def remove(article: Article) -> None:
    """Delete an article as an operation would."""
    outbox.record(article)
    db.session.delete(article)
    db.session.commit()


def build_index(engine: MemoryEngine, holder: str = "builder", breathe: Callable[[], None] = lambda: None) -> None:
    """Ask for an index where there is none, and go on with the one under way until it is over."""
    rebuild.ensure_index(engine, "test")
    work = Rebuild(engine, holder, "test", breathe=breathe)
    while work.step():
        pass
    work.let_go()


@pytest.fixture
def engine(app: Flask) -> MemoryEngine:
    """An engine with an empty live index."""
    made = MemoryEngine()
    build_index(made)
    return made


@pytest.fixture
def drain(engine: MemoryEngine) -> Callable[[], Drained]:
    """Write everything that is due."""
    return lambda: sync.drain(engine, HOLDER)


@pytest.fixture
def count_queries(app: Flask) -> Callable[[], AbstractContextManager[Callable[[], int]]]:
    """Count the statements that reach the database."""

    @contextmanager
    def count() -> Iterator[Callable[[], int]]:
        statements: list[str] = []

        def note(_connection, _cursor, statement, *_rest):
            statements.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            yield lambda: len(statements)
        finally:
            event.remove(db.engine, "before_cursor_execute", note)

    return count
