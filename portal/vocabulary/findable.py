"""How the search's facets call categories, products and tags."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from portal.extensions import db
from portal.search.sources import Labels
from portal.vocabulary.models import Category, Product, Tag


def _names_of(model: Any) -> Labels:
    def labels(slugs: Collection[str], locale: str) -> Mapping[str, str]:
        """Return slug → name in the reader's language."""
        return {
            word.slug: word.label(locale) for word in db.session.scalars(select(model).where(model.slug.in_(slugs)))
        }

    return labels


LABELS: Mapping[str, Labels] = {"category": _names_of(Category), "product": _names_of(Product), "tag": _names_of(Tag)}
