"""Articles that say the same in several languages."""

from flask_babel import gettext

from portal.access import Viewer
from portal.errors import Invalid
from portal.extensions import db, now
from portal.knowledge.findable import select_readable
from portal.knowledge.models import Article
from portal.knowledge.revisions import commit
from portal.knowledge.rights import require_edit


def link_translation(article: Article, *, of: Article | None, by: Viewer) -> None:
    """Say that an article is the translation of another, or with None of no other, and commit.

    Raises:
        Forbidden: `by` may not edit this article.
        Invalid: both are in one language, or the group has that language already.
    """
    require_edit(article, by)
    before = article.partners
    original = None
    if of is not None:
        original = of.translation_of or of
        group = [original, *original.translations]
        if original.id == article.id or article.translations:
            raise Invalid({"translation_of": gettext("It has translations itself. Link those to the other article.")})
        if any(other.language == article.language and other.id != article.id for other in group):
            raise Invalid({"translation_of": gettext("There is an article in this language already.")})
    article.translation_of = original
    article.updated_at = now()
    commit(article, by=by, action="article.translation", note="", given={}, also=before)


def load_translations(viewer: Viewer, article: Article) -> list[Article]:
    """Return the readable articles that say the same in other languages."""
    ids = [other.id for other in article.partners]
    if not ids:
        return []
    return list(db.session.scalars(select_readable(viewer).where(Article.id.in_(ids)).order_by(Article.language)))
