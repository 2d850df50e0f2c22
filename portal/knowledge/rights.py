"""Who may change or remove an article."""

from portal.access import Forbidden, Permission, Viewer
from portal.knowledge.models import Article


def may_edit(article: Article, viewer: Viewer) -> bool:
    """Say whether the viewer may change the article: editors any, agents drafts that they may read."""
    if viewer.can(Permission.PUBLISH_ARTICLES):
        return True
    return viewer.can(Permission.WRITE_ARTICLES) and article.state == "draft" and viewer.may_read(article.readers)


def require_edit(article: Article, viewer: Viewer) -> None:
    """Raise `Forbidden` unless the viewer may change the article."""
    if not may_edit(article, viewer):
        raise Forbidden(Permission.PUBLISH_ARTICLES)


def may_delete(article: Article, viewer: Viewer) -> bool:
    """Say whether the viewer may remove the article: editors any, others a draft of their own."""
    return viewer.can(Permission.PUBLISH_ARTICLES) or (article.state == "draft" and _is_owner(article, viewer))


def require_delete(article: Article, viewer: Viewer) -> None:
    """Raise `Forbidden` unless the viewer may remove the article."""
    if not may_delete(article, viewer):
        raise Forbidden(Permission.PUBLISH_ARTICLES)


def _is_owner(article: Article, viewer: Viewer) -> bool:
    return viewer.user_id is not None and article.owner_id == viewer.user_id
