"""Lists of articles, and how many of them stand under each word, within a viewer's rights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import selectinload

from portal.access import Viewer
from portal.extensions import count_rows, db
from portal.knowledge.findable import readable, select_readable
from portal.knowledge.models import Article, article_product, article_tag
from portal.vocabulary.models import Category


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    articles: Sequence[Article]
    total: int
    number: int
    size: int

    @property
    def count(self) -> int:
        """How many pages there are; an empty list has one."""
        return max(1, -(-self.total // self.size))


def load_page(
    viewer: Viewer,
    *where: ColumnElement[bool],
    states: Sequence[str] = ("published",),
    order: str = "newest",
    number: int = 1,
    size: int = 20,
) -> Page:
    """Return one page of the readable articles that fit, and how many there are.

    `order` is newest, popular, title, due (review first due) or unhelpful (most often so).
    """
    fitting = select_readable(viewer).where(Article.state.in_(states), *where)
    total = count_rows(fitting, Article.id)
    orders: dict[str, tuple[Any, ...]] = {
        "newest": (Article.updated_at.desc(), Article.id.desc()),
        "popular": (Article.views.desc(), Article.id.desc()),
        "title": (Article.title, Article.id),
        "due": (Article.review_at, Article.id),
        "unhelpful": (Article.unhelpful.desc(), Article.helpful, Article.id),
    }
    rows = db.session.scalars(
        fitting.options(selectinload(Article.category), selectinload(Article.tags), selectinload(Article.products))
        .order_by(*orders[order])
        .limit(size)
        .offset((number - 1) * size)
    ).all()
    return Page(rows, total, number, size)


def in_categories(category_ids: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition for articles of these categories."""
    return Article.category_id.in_(category_ids)


def with_product(product_id: int) -> ColumnElement[bool]:
    """Return the condition for articles about this product."""
    return Article.id.in_(select(article_product.c.article_id).where(article_product.c.product_id == product_id))


def with_tag(tag_id: int) -> ColumnElement[bool]:
    """Return the condition for articles that carry this tag."""
    return Article.id.in_(select(article_tag.c.article_id).where(article_tag.c.tag_id == tag_id))


def count_by_category(viewer: Viewer) -> dict[int, int]:
    """Return category id → how many published articles in it, without those below, this viewer may read."""
    return _counted(viewer, Article.category_id)


def count_by_product(viewer: Viewer) -> dict[int, int]:
    """Return product id → how many published articles about it this viewer may read."""
    return _counted(viewer, article_product.c.product_id, article_product)


def count_by_tag(viewer: Viewer) -> dict[int, int]:
    """Return tag id → how many published articles that carry it this viewer may read."""
    return _counted(viewer, article_tag.c.tag_id, article_tag)


def _counted(viewer: Viewer, word: Any, through: Any = None) -> dict[int, int]:
    query = select(word, func.count()).select_from(Article).outerjoin(Category, Article.category_id == Category.id)
    if through is not None:
        query = query.join(through, through.c.article_id == Article.id)
    query = query.where(readable(viewer), Article.state == "published", word.is_not(None)).group_by(word)
    return {row[0]: row[1] for row in db.session.execute(query)}
