"""What was asked: a request that cannot be made without a viewer.

Everything that comes from outside is checked here, once, for the page, the API and the command line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol

from flask_babel import gettext

from portal.access import Viewer
from portal.search.document import Kind
from portal.search.facets import FACETS, MOST_PERIODS, MOST_SELECTED, MOST_VALUES, UPDATED, Facet, facets_for, period_of
from portal.search.guidance import Guidance
from portal.search.query import Query, parse

LONGEST_TEXT = 1_000
LONGEST_VALUE = 200
DEEPEST_HIT = 10_000
DEFAULT_SIZE = 20
LARGEST_SIZE = 100
SORTS = ("relevance", "newest", "popular")
FIRST_DAY, LAST_DAY = "updated_from", "updated_to"


class RequestError(ValueError):
    """A parameter cannot be used.  `parameter` names it; the text is a sentence for whoever sent it."""

    def __init__(self, parameter: str, sentence: str) -> None:
        super().__init__(sentence)
        self.parameter = parameter
        self.sentence = sentence


class Arguments(Protocol):
    """Parameters of an address, each with any number of values: what werkzeug's MultiDict offers."""

    def keys(self) -> Iterable[str]:
        """Return the names."""

    def getlist(self, key: str) -> list[str]:
        """Return all values of one name."""


def _this_minute() -> datetime:
    """Return when ages are counted from: what is asked again within a minute is the same to a cache of OpenSearch."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """One search.  Frozen: make another with `dataclasses.replace`.

    `filters` holds the chosen values of each facet.  An empty `text` browses, newest first.  The `with_…`
    switches spare callers that need hits alone; `facet_limit` is how many values of a facet are counted at most.
    `guidance` is tried in place of the one in force; `with_hides` lets hidden documents stay away.
    """

    viewer: Viewer
    text: str = ""
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sort: str = "relevance"
    page: int = 1
    size: int = DEFAULT_SIZE
    explain: bool = False
    with_facets: bool = True
    with_highlights: bool = True
    with_correction: bool = True
    facet_limit: int = MOST_VALUES
    with_hides: bool = True
    guidance: Guidance | None = None
    now: datetime = field(default_factory=_this_minute)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean_text(self.text))
        filters = {name: tuple(dict.fromkeys(values)) for name, values in self.filters.items() if values}
        object.__setattr__(self, "filters", MappingProxyType(filters))
        self._check()

    def _check(self) -> None:
        if len(self.text) > LONGEST_TEXT:
            raise RequestError(
                "q",
                gettext(
                    "q: the text is longer than %(most)s characters. Keep the words that matter.",
                    most=LONGEST_TEXT,
                ),
            )
        if self.sort not in SORTS:
            raise _unknown("sort", self.sort, SORTS)
        if not 1 <= self.size <= LARGEST_SIZE:
            raise RequestError("size", gettext("size: give a whole number from 1 to %(most)s.", most=LARGEST_SIZE))
        if self.page < 1:
            raise RequestError("page", gettext("page: give a whole number from 1."))
        if self.page * self.size > DEEPEST_HIT:
            raise RequestError(
                "page",
                gettext(
                    "page: only the first %(most)s hits can be reached. Add a word or choose a filter.",
                    most=f"{DEEPEST_HIT:,}",
                ),
            )
        for name, values in self.filters.items():
            self._check_filter(name, values)

    def _check_filter(self, name: str, values: tuple[str, ...]) -> None:
        usable = {facet.name for facet in self.facets}
        if name not in usable:
            raise _unknown("filter", name, sorted(usable))
        most = MOST_PERIODS if name == UPDATED else MOST_SELECTED
        if len(values) > most:
            raise RequestError(name, gettext("%(name)s: choose at most %(most)s values.", name=name, most=most))
        if name == "kind":
            for value in values:
                if value not in tuple(Kind):
                    raise _unknown(name, value, tuple(Kind))
        if name == UPDATED:
            for value in values:
                try:
                    period_of(value, self.now)
                except (ValueError, OverflowError):
                    raise RequestError(
                        name,
                        gettext(
                            "updated: %(value)s is not a period. Use day, week, month, year, older, "
                            "or two days such as 2026-01-01..2026-03-31.",
                            value=repr(value),
                        ),
                    ) from None

    @property
    def query(self) -> Query:
        """What the text means."""
        return parse(self.text)

    @property
    def facets(self) -> tuple[Facet, ...]:
        """The facets that this viewer may use."""
        return facets_for(self.viewer)

    @property
    def effective_sort(self) -> str:
        """The order that is used: without words to rank by, relevance means newest."""
        return "newest" if self.sort == "relevance" and not self.query.ranks else self.sort

    @property
    def offset(self) -> int:
        """How many hits come before this page."""
        return (self.page - 1) * self.size

    @classmethod
    def from_args(
        cls, args: Arguments | Mapping[str, str | Iterable[str]], viewer: Viewer, *, size: int | None = None
    ) -> "SearchRequest":
        """Read the parameters of an address.  Unknown ones are left alone; `size` given here overrules the caller's.

        `updated_from` and `updated_to`, as a form of two days sends them, are a period of `updated`.  Reasons are for
        staff: `explain` of anybody else is left alone.

        Raises:
            RequestError: a parameter cannot be used.
        """
        filters: dict[str, tuple[str, ...]] = {}
        usable = {facet.name for facet in facets_for(viewer)}
        for name in list(args.keys()):
            if name not in FACETS:
                continue
            values = tuple(value for value in (clean_text(v) for v in _values(args, name)) if value)
            if values and name not in usable:
                raise RequestError(name, gettext("%(name)s: this filter is not offered here.", name=name))
            for value in values:
                if len(value) > LONGEST_VALUE:
                    raise RequestError(
                        name,
                        gettext("%(name)s: a value is longer than %(most)s characters.", name=name, most=LONGEST_VALUE),
                    )
            if values:
                filters[name] = values
        first, last = _single(args, FIRST_DAY), _single(args, LAST_DAY)
        if first or last:
            filters[UPDATED] = (f"{first}..{last}",)
        return cls(
            viewer=viewer,
            text=_single(args, "q"),
            filters=filters,
            sort=_single(args, "sort") or "relevance",
            page=_whole(args, "page", 1),
            size=size if size is not None else _whole(args, "size", DEFAULT_SIZE),
            explain=viewer.is_staff and _single(args, "explain") in ("1", "true"),
        )


def clean_text(text: str) -> str:
    """Take out what no text should hold: lone surrogates, control characters, spaces at the ends."""
    if not text.isprintable():
        text = text.encode("utf-8", "replace").decode("utf-8")
        text = "".join(" " if ch < " " or "\x7f" <= ch <= "\x9f" else ch for ch in text)
    return text.strip()


def _values(args: Arguments | Mapping[str, str | Iterable[str]], name: str) -> list[str]:
    if isinstance(args, Mapping) and not hasattr(args, "getlist"):
        value = args.get(name, ())
        return [value] if isinstance(value, str) else list(value)
    values: list[str] = args.getlist(name)
    return values


def _single(args: Arguments | Mapping[str, str | Iterable[str]], name: str) -> str:
    values = _values(args, name)
    if len(values) > 1:
        raise RequestError(name, gettext("%(name)s: give it once.", name=name))
    return clean_text(values[0]) if values else ""


def _whole(args: Arguments | Mapping[str, str | Iterable[str]], name: str, default: int) -> int:
    text = _single(args, name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise RequestError(
            name, gettext("%(name)s: %(value)s is not a whole number.", name=name, value=repr(text[:40]))
        )
    return int(text)


def _unknown(parameter: str, value: str, known: Iterable[str]) -> RequestError:
    return RequestError(
        parameter,
        gettext(
            "%(name)s: %(value)s is not known. Use one of %(known)s.",
            name=parameter,
            value=repr(value[:40]),
            known=", ".join(known),
        ),
    )
