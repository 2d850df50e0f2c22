"""The registry of facets: what people narrow a search by.

Several values of one facet widen (OR), several facets narrow (AND), and the counts of a facet ignore its own selection
and respect all others.  Both engines, the page, the API and the command line read this list; a new facet is a new row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from flask_babel import gettext, lazy_gettext

from portal.access import Viewer
from portal.search.document import Document, Kind
from portal.search.results import FacetValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One facet.  `values_of` reads a document's values; `updated` has none, it is counted over ranges of time."""

    name: str
    label: object
    values_of: Callable[[Document], Iterable[str]]
    multi: bool = True
    staff_only: bool = False

    @property
    def is_dates(self) -> bool:
        """Its values are ranges of time."""
        return self.name == UPDATED


UPDATED = "updated"
MOST_VALUES = 100
MOST_SELECTED = 100
MOST_PERIODS = 10


def _one(name: str, document: Document) -> tuple[str, ...]:
    value: str = getattr(document, name)
    return (value,) if value else ()


def _many(name: str, document: Document) -> tuple[str, ...]:
    values: tuple[str, ...] = getattr(document, name)
    return values


def _further(name: str, document: Document) -> tuple[str, ...]:
    return document.facets.get(name, ())


FACETS: Mapping[str, Facet] = {
    facet.name: facet
    for facet in (
        Facet(name="kind", label=lazy_gettext("Kind"), values_of=partial(_one, "kind")),
        Facet(name="category", label=lazy_gettext("Category"), values_of=partial(_many, "categories")),
        Facet(name="product", label=lazy_gettext("Product"), values_of=partial(_many, "products")),
        Facet(name="tag", label=lazy_gettext("Tag"), values_of=partial(_many, "tags")),
        Facet(name="language", label=lazy_gettext("Language"), values_of=partial(_one, "language")),
        Facet(name="status", label=lazy_gettext("Status"), values_of=partial(_one, "status")),
        Facet(name=UPDATED, label=lazy_gettext("Updated"), values_of=lambda _: (), multi=False),
        Facet(name="source", label=lazy_gettext("Source"), values_of=partial(_one, "source"), staff_only=True),
        Facet(
            name="assignee", label=lazy_gettext("Assignee"), values_of=partial(_further, "assignee"), staff_only=True
        ),
        Facet(
            name="priority", label=lazy_gettext("Priority"), values_of=partial(_further, "priority"), staff_only=True
        ),
    )
}

# Oldest first would surprise: people look for what is fresh.  Each range holds the ones before it.
AGES: Mapping[str, timedelta] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "year": timedelta(days=365),
}
OLDER = "older"


def facets_for(viewer: Viewer) -> tuple[Facet, ...]:
    """Return the facets that this viewer may see and use, in the order in which they are shown."""
    return tuple(facet for facet in FACETS.values() if viewer.is_staff or not facet.staff_only)


_LABELS: Mapping[str, Mapping[str, object]] = {
    "kind": {
        Kind.FAQ: lazy_gettext("FAQ"),
        Kind.CASE_STUDY: lazy_gettext("Case study"),
        Kind.RECORD: lazy_gettext("Service record"),
        Kind.CUSTOMER: lazy_gettext("Customer"),
    },
    "language": {"en": lazy_gettext("English"), "zh": lazy_gettext("Chinese")},
    UPDATED: {
        "day": lazy_gettext("Last 24 hours"),
        "week": lazy_gettext("Last 7 days"),
        "month": lazy_gettext("Last 30 days"),
        "year": lazy_gettext("Last 12 months"),
        OLDER: lazy_gettext("Older than 12 months"),
    },
    "status": {
        "draft": lazy_gettext("Draft"),
        "published": lazy_gettext("Published"),
        "archived": lazy_gettext("Archived"),
        "new": lazy_gettext("New"),
        "open": lazy_gettext("Open"),
        "waiting": lazy_gettext("Waiting"),
        "resolved": lazy_gettext("Resolved"),
        "closed": lazy_gettext("Closed"),
    },
}


def label_of(name: str, value: str) -> str:
    """Return how a value is called, as far as the search knows; slugs of vocabularies are named by their features."""
    if name == UPDATED and ".." in value:
        first, _, last = value.partition("..")
        if first and last:
            return str(gettext("%(first)s to %(last)s", first=first, last=last))
        return str(gettext("since %(day)s", day=first) if first else gettext("until %(day)s", day=last))
    return str(_LABELS.get(name, {}).get(value, value))


def is_own_period(value: str) -> bool:
    """A value of `updated` is a range of days, which no engine counts among the ages."""
    return value not in AGES and value != OLDER


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open range of time; None is without end."""

    begins_at: datetime | None
    ends_at: datetime | None


def period_of(value: str, now: datetime) -> Period:
    """Return the range that a value of `updated` means: a named age, or `2026-01-01..2026-03-31` with whole days.

    Either day of a range may be left out.

    Raises:
        ValueError: the value is neither.
    """
    if value in AGES:
        return Period(now - AGES[value], None)
    if value == OLDER:
        return Period(None, now - AGES["year"])
    first, dots, last = value.partition("..")
    if not dots or not (first or last):
        raise ValueError(f"{value!r} is neither an age nor a range of days")
    begins_at = _midnight(date.fromisoformat(first)) if first else None
    ends_at = _midnight(date.fromisoformat(last)) + timedelta(days=1) if last else None
    if begins_at and ends_at and begins_at >= ends_at:
        raise ValueError(f"{value!r} ends before it begins")
    return Period(begins_at, ends_at)


def age_bounds(now: datetime) -> list[datetime]:
    """Return the moments that part the ages, oldest first: counted between them, no document is counted twice."""
    return [now - age for age in sorted(AGES.values(), reverse=True)]


def count_ages(stretches: Sequence[int]) -> dict[str, int]:
    """Turn counts between `age_bounds`, oldest first, into counts of ages, each of which holds the younger ones.

    An index that holds nothing at all gives no stretches.
    """
    stretches = stretches or [0] * (len(AGES) + 1)
    found = {OLDER: stretches[0]}
    total = 0
    for name, count in zip(AGES, reversed(stretches[1:]), strict=True):
        total += count
        found[name] = total
    return found


def _midnight(day: date) -> datetime:
    # The first and last years leave no room for a day's step or a time zone's shift.
    if not 1 < day.year < 9999:
        raise ValueError(f"{day.isoformat()!r} is out of range")
    return datetime.combine(day, time(), UTC)


def build_values(
    facet: Facet, counts: Mapping[str, int], selected: Iterable[str], limit: int = MOST_VALUES
) -> tuple[FacetValue, ...]:
    """Order what was counted: largest first, then by name; ages from new to old.  Selected values are always shown."""
    chosen = tuple(selected)
    if facet.is_dates:
        order = [*AGES, OLDER]
        values = [value for value in order if counts.get(value) or value in chosen]
        values += [value for value in chosen if value not in order]
    else:
        values = sorted((value for value, count in counts.items() if count), key=lambda v: (-counts[v], v))[:limit]
        values += [value for value in chosen if value not in values]
    return tuple(
        FacetValue(value=value, label=label_of(facet.name, value), count=counts.get(value, 0), selected=value in chosen)
        for value in values
    )
