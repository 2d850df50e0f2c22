"""What must hold of articles and the vocabulary on both databases: batches, sweeping changes, parallel writers."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal import audit, outbox
from portal.access import ANONYMOUS
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.knowledge import articles, batches, lists, votes
from portal.knowledge.models import Article, Revision, Vote
from portal.settings import Settings
from portal.vocabulary import categories, products, tags
from portal.vocabulary.models import Category
from tests.people import People
from tests.together import together


@pytest.fixture
def settings(database_settings: Settings) -> Settings:
    """The portal of these tests runs on SQLite, then on PostgreSQL."""
    return database_settings


def lines(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": str(n), "title": f"Title {n % 7}", "text": f"Text {n}", "lang": "en", **more} for n in range(count)]


def test_batches_are_taken_changed_and_left_alone(app: Flask) -> None:
    meta = {"category": "Pumps > Large", "product": "P3", "tags": ["hot", "冷"]}
    first = batches.import_batch(lines(30, meta=meta), source="a")
    again = batches.import_batch([*lines(15, meta=meta), *lines(30, meta={"tags": ["new"]})[15:]], source="a")
    assert {o.outcome for o in first} == {"created"}
    assert [o.outcome for o in again] == ["unchanged"] * 15 + ["updated"] * 15
    assert [o.article_id for o in first] == [o.article_id for o in again]
    assert db.session.scalar(select(func.count(Article.slug.distinct()))) == 30
    assert db.session.scalar(select(func.count()).select_from(Revision)) == 45
    rows = db.session.execute(select(outbox.OutboxRow.version).order_by(outbox.OutboxRow.version)).scalars().all()
    assert rows == [1] * 15 + [2] * 15
    for n, wanted in ((3, ["hot", "冷"]), (20, ["new"])):
        article = db.session.scalars(select(Article).where(Article.external_id == str(n))).one()
        assert (article.body, sorted(tag.name for tag in article.tags)) == (f"Text {n}", wanted)
    assert list(audit.verify()) == []


def test_the_same_batch_from_two_sides_makes_each_article_once(app: Flask) -> None:
    meta = {"category": "Pumps", "tags": ["hot"]}
    errors = together(app, *[lambda: batches.import_batch(lines(40, meta=meta), source="a")] * 2)
    assert [error for error in errors if not isinstance(error, Invalid)] == []
    assert db.session.scalar(select(func.count()).select_from(Article)) == 40
    assert db.session.scalar(select(func.count()).select_from(Revision)) == 40


def test_of_parallel_saves_one_wins_and_the_others_are_told(app: Flask, people: People) -> None:
    article = articles.create(by=people.dora.viewer, kind="faq", changes={"title": "T", "body": "x"})
    article_id = article.id

    def save(text: str) -> Callable[[], None]:
        def job() -> None:
            mine = db.session.get_one(Article, article_id)
            articles.save(mine, by=people.dora.viewer, changes={"body": text, "tags": [text]}, expected_version=1)

        return job

    errors = together(app, *(save(f"text {n}") for n in range(6)))
    assert [type(error) for error in errors] == [Conflict] * 5
    kept = db.session.get_one(Article, article_id)
    assert kept.version == 2
    assert [revision.content["body"] for revision in kept.revisions] == [kept.body, "x"]
    assert {error.given["body"] for error in errors} | {kept.body} == {f"text {n}" for n in range(6)}


def test_parallel_votes_of_one_reader_count_once(app: Flask, people: People) -> None:
    article = articles.create(by=people.dora.viewer, kind="faq", changes={"title": "T", "body": "x"}, state="published")
    article_id = article.id

    def vote(voter: str) -> Callable[[], None]:
        return lambda: votes.vote(db.session.get_one(Article, article_id), voter=voter, is_helpful=True)

    assert together(app, *(vote(voter) for voter in ("a", "a", "a", "b", "b", "c"))) == []
    kept = db.session.get_one(Article, article_id)
    assert (kept.helpful, db.session.scalar(select(func.count()).select_from(Vote))) == (3, 3)


def test_sweeping_changes_of_the_vocabulary(app: Flask, people: People) -> None:
    dora = people.dora.viewer
    top = categories.create(by=dora, changes={"name": "A"})
    below = categories.create(by=dora, changes={"name": "B", "parent_id": top.id, "audience": "internal"})
    product = products.create(by=dora, changes={"name": "P"})
    made = [
        articles.create(
            by=dora,
            kind="faq",
            state="published",
            changes={"title": f"T{n}", "body": "x", "category_id": below.id, "product_ids": [product.id], "tags": [t]},
        )
        for n, t in enumerate(("hot", "warm"))
    ]
    categories.save(top, by=dora, changes={"name": "AA"}, expected_version=1)
    products.save(product, by=dora, changes={"name": "PP"})
    tags.merge(tags.find("warm"), into=tags.find("hot"), by=dora)
    categories.delete(below, by=dora)
    db.session.expire_all()
    assert [[tag.name for tag in article.tags] for article in made] == [["hot"], ["hot"]]
    assert {(article.category_id, article.audience) for article in made} == {(top.id, "internal")}
    assert lists.load_page(ANONYMOUS).total == 0
    assert lists.load_page(people.carol.viewer, order="popular").total == 2
    assert [outbox.version_of("article", article.id) for article in made] == [(4, 0), (5, 0)]


def test_two_moves_never_make_a_circle(app: Flask, people: People) -> None:
    ids = [categories.create(by=people.dora.viewer, changes={"name": name}).id for name in "AB"]

    def move(what: int, below: int) -> Callable[[], None]:
        return lambda: categories.move(db.session.get_one(Category, what), by=people.dora.viewer, parent_id=below)

    together(app, move(ids[0], ids[1]), move(ids[1], ids[0]))
    for category in db.session.scalars(select(Category)):
        assert category.path()[0].parent_id is None
