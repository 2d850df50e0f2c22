"""The editors' board: what waits for somebody's hand, each list with its exact count for the viewer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask_babel import LazyString, lazy_gettext
from sqlalchemy import ColumnElement

from portal.access import Viewer
from portal.extensions import count_rows, now
from portal.knowledge import lists
from portal.knowledge.findable import select_readable
from portal.knowledge.models import Article

SOON = timedelta(days=30)
SIZE = 30


@dataclass(frozen=True, slots=True)
class Pile:
    """One list of the board."""

    name: str
    label: LazyString
    states: tuple[str, ...]
    conditions: Callable[[Viewer], tuple[ColumnElement[bool], ...]]
    order: str = "newest"


def _due(_viewer: Viewer) -> tuple[ColumnElement[bool], ...]:
    return (Article.review_at.is_not(None), Article.review_at < now() + SOON)


def _mine(viewer: Viewer) -> tuple[ColumnElement[bool], ...]:
    return (Article.owner_id == viewer.user_id,)


def _loose(_viewer: Viewer) -> tuple[ColumnElement[bool], ...]:
    return (Article.category_id.is_(None),)


def _doubted(_viewer: Viewer) -> tuple[ColumnElement[bool], ...]:
    # At least a quarter of those who answered were not helped.
    return (Article.unhelpful > 0, Article.unhelpful * 4 >= Article.helpful + Article.unhelpful)


def _all(_viewer: Viewer) -> tuple[ColumnElement[bool], ...]:
    return ()


PILES = {
    pile.name: pile
    for pile in (
        Pile("drafts", lazy_gettext("Drafts"), ("draft",), _all),
        Pile("mine", lazy_gettext("Mine"), ("draft", "published"), _mine),
        Pile("due", lazy_gettext("Review due"), ("published",), _due, "due"),
        Pile("unhelpful", lazy_gettext("Least helpful"), ("published",), _doubted, "unhelpful"),
        Pile("loose", lazy_gettext("Without category"), ("draft", "published"), _loose),
        Pile("archived", lazy_gettext("Archived"), ("archived",), _all),
    )
}


def count_piles(viewer: Viewer) -> dict[str, int]:
    """Return how much lies on each pile: one query each, never more."""
    return {pile.name: count_rows(_lying_on(pile, viewer), Article.id) for pile in PILES.values()}


def load_pile(viewer: Viewer, pile: Pile, *, number: int) -> lists.Page:
    """Return one page of a pile."""
    return lists.load_page(
        viewer, *pile.conditions(viewer), states=pile.states, order=pile.order, number=number, size=SIZE
    )


def _lying_on(pile: Pile, viewer: Viewer) -> Any:
    return select_readable(viewer).where(Article.state.in_(pile.states), *pile.conditions(viewer))
