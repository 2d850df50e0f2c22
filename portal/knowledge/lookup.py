"""The article of an address, for every page that begins with one."""

from flask import abort

from portal.accounts.guard import current_viewer
from portal.knowledge import articles
from portal.knowledge.models import Article


def find_article(slug: str) -> Article:
    """Return the article of an address, or answer 404 where there is none that this viewer may read."""
    found = articles.get_readable(current_viewer(), slug)
    if found is None:
        abort(404)
    return found
