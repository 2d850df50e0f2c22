"""What the search asks of articles: which may still be read, and which titles hold some words."""

from collections.abc import Collection
from typing import Any

from markupsafe import escape
from sqlalchemy import ColumnElement, Select, or_, select

from portal import access
from portal.access import Viewer
from portal.extensions import db
from portal.knowledge.models import KINDS, Article
from portal.search.results import Hit
from portal.search.sources import Source, Standing, make_readable_ids
from portal.search.titles import holds_words, load_newest
from portal.vocabulary.models import Category


def readable(viewer: Viewer) -> ColumnElement[bool]:
    """Return the rule of who may read an article; the query must be joined with `outerjoin(Article.category)`."""
    return access.article_condition(
        viewer,
        state=Article.state,  # type: ignore[arg-type]  # Mapped attributes are column elements in queries.
        audience=Article.audience,  # type: ignore[arg-type]
        category_audience=Category.effective_audience,  # type: ignore[arg-type]
        owner_id=Article.owner_id,  # type: ignore[arg-type]
        is_shared=Article.is_shared,  # type: ignore[arg-type]
    )


def select_readable(viewer: Viewer, *columns: Any) -> Select[Any]:
    """Begin a query over the articles this viewer may read."""
    return select(*(columns or (Article,))).select_from(Article).outerjoin(Article.category).where(readable(viewer))


readable_ids = make_readable_ids(select_readable, Article.id)


def find_titles(
    viewer: Viewer, words: Collection[str], kinds: Collection[str], limit: int, offset: int
) -> tuple[int, list[Hit]]:
    """Look the words up in titles and summaries, newest first."""
    if kinds and not set(kinds) & set(KINDS):
        return 0, []
    found = select_readable(viewer, Article).where(holds_words(words, Article.title, Article.summary))  # type: ignore[arg-type]
    if kinds:
        found = found.where(Article.kind.in_(kinds))
    total, rows = load_newest(found, Article, limit, offset)
    return total, [
        Hit(
            id=f"article:{article.id}",
            kind=article.kind,
            title=article.title,
            title_html=escape(article.title),
            snippets=(escape(article.summary),) if article.summary else (),
            url=f"/articles/{article.slug}",
            language=article.language,
            status=article.state,
            updated_at=article.updated_at,
        )
        for article in rows
    ]


def standing(article_id: int) -> Standing | None:
    """Tell how an article stands."""
    article = db.session.get(Article, article_id)
    if article is None:
        return None
    return Standing(
        title=article.title,
        url=f"/articles/{article.slug}",
        state=article.state,
        readers=access.article_tokens(
            state=article.state,
            audience=article.audience,
            category_audience=article.category.effective_audience if article.category else None,
            owner_id=article.owner_id,
            is_shared=article.is_shared,
        ),
    )


def look_up(text: str) -> int | None:
    """Find an article by its slug, its address or its number elsewhere."""
    slug = text.rstrip("/").removeprefix("/articles/")
    return db.session.scalar(
        select(Article.id).where(or_(Article.slug == slug, Article.external_id == text)).order_by(Article.id).limit(1)
    )


SOURCE = Source(kind="article", readable_ids=readable_ids, find_titles=find_titles, standing=standing, look_up=look_up)
