"""`/api/v1/articles`."""

from typing import Any

from flask import url_for
from flask.views import MethodView
from sqlalchemy.orm import selectinload

from portal.access import Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.api.idempotency import idempotent
from portal.api.parsing import Blueprint
from portal.api.resources import category_id, load_list, missing, product_ids, text_of
from portal.api.schemas import ArticleArgs, ArticleIn, ArticleOut, ArticlePatch, page_of
from portal.knowledge import articles
from portal.knowledge.findable import select_readable
from portal.knowledge.models import PARTS, Article

blueprint = Blueprint("articles_api", __name__, url_prefix="/api/v1/articles", description="Articles")
ArticlePage = page_of(ArticleOut)


def shape(article: Article) -> dict[str, Any]:
    """Shape an article for JSON, with the parts of its kind alone."""
    return {
        "id": article.id,
        "version": article.version,
        "kind": article.kind,
        "title": article.title,
        "slug": article.slug,
        "path": f"/articles/{article.slug}",
        **{part: getattr(article, part) for part in PARTS[article.kind]},
        **({"outcome": article.outcome} if article.kind == "case_study" else {}),
        "summary": article.summary,
        "language": article.language,
        "audience": article.audience,
        "state": article.state,
        "category": article.category.slug if article.category else None,
        "products": [product.slug for product in article.products],
        "tags": [tag.name for tag in article.tags],
        "external_id": article.external_id,
        "source": article.source,
        "url": article.url,
        "created_at": text_of(article.created_at),
        "updated_at": text_of(article.updated_at),
        "published_at": text_of(article.published_at),
        "review_at": text_of(article.review_at),
    }


def _changes(given: dict[str, Any], viewer: Viewer) -> dict[str, Any]:
    """Turn slugs into the ids that operations take."""
    changes = dict(given)
    if "category" in changes:
        changes["category_id"] = category_id(changes.pop("category"), viewer)
    if "products" in changes:
        changes["product_ids"] = product_ids(changes.pop("products"))
    return changes


def _find(article_id: int) -> Article:
    article = articles.get_readable(current_viewer(), article_id)
    if article is None:
        raise missing()
    return article


@blueprint.route("")
class Articles(MethodView):
    """All articles that the caller may read."""

    @blueprint.arguments(ArticleArgs, location="query")
    @blueprint.response(200, ArticlePage)
    @needs(Permission.READ)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List articles, newest first."""
        wanted = select_readable(current_viewer()).options(
            selectinload(Article.category), selectinload(Article.products), selectinload(Article.tags)
        )
        return load_list(wanted, Article, args, shape)

    @blueprint.arguments(ArticleIn)
    @blueprint.response(201, ArticleOut)
    @needs(Permission.WRITE_ARTICLES)
    @idempotent
    def post(self, given: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Write an article; a draft unless `state` says otherwise."""
        viewer = current_viewer()
        origin = {name: given.pop(name, None) for name in ("source", "external_id", "url")}
        article = articles.create(
            by=viewer,
            kind=given.pop("kind", "faq"),
            state=given.pop("state", "draft"),
            note=given.pop("note", ""),
            changes=_changes(given, viewer),
            **origin,
        )
        location = url_for("articles_api.OneArticle", article_id=article.id)
        return shape(article), 201, {"Location": location}


@blueprint.route("/<int:article_id>", endpoint="OneArticle")
class OneArticle(MethodView):
    """One article."""

    @blueprint.response(200, ArticleOut)
    @needs(Permission.READ)
    def get(self, article_id: int) -> dict[str, Any]:
        """Read an article."""
        return shape(_find(article_id))

    @blueprint.arguments(ArticlePatch)
    @blueprint.response(200, ArticleOut)
    @needs(Permission.WRITE_ARTICLES)
    @idempotent
    def patch(self, given: dict[str, Any], article_id: int) -> tuple[dict[str, Any], int]:
        """Change the given fields of an article."""
        viewer = current_viewer()
        article = _find(article_id)
        expected = given.pop("version", None)
        state, note = given.pop("state", None), given.pop("note", "")
        if given:
            changes = _changes(given, viewer)
            articles.save(article, by=viewer, changes=changes, expected_version=expected, note=note, state=state)
        elif state is not None:
            articles.set_state(article, state, by=viewer, expected_version=expected, note=note)
        return shape(article), 200

    @blueprint.response(204)
    @needs(Permission.WRITE_ARTICLES)
    @idempotent
    def delete(self, article_id: int) -> tuple[None, int]:
        """Remove an article for good."""
        articles.delete(_find(article_id), by=current_viewer())
        return None, 204
