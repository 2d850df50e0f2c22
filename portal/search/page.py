"""What the results page shows, made ready in Python: every address and count is a string before the template begins.

Measured at 114,000 documents, a hundred values whose addresses a template built took two thirds of the page's time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

from portal.pages import show_number
from portal.search.facets import FACETS, UPDATED, Facet, is_own_period, label_of
from portal.search.request import DEFAULT_SIZE, FIRST_DAY, LAST_DAY, SearchRequest
from portal.search.results import FacetValue, Hit, SearchResult

PATH = "/search"
SHOWN = 7
MOST_TOLD = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One value of a facet and the address that chooses it, or takes it back; `depth` is how deep it lies in a tree."""

    href: str
    label: str
    count: str
    is_chosen: bool
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One facet as it stands on the page.  `all_href` leads to all of its values; empty where all are shown."""

    name: str
    title: str
    lines: tuple[Line, ...]
    all_href: str = ""
    first_day: str = ""
    last_day: str = ""

    @property
    def is_dates(self) -> bool:
        """It has fields for a range of days."""
        return self.name == UPDATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A chosen value that can be taken away."""

    title: str
    label: str
    href: str


class Address:
    """The addresses around one search: the same words and filters, but for one thing."""

    def __init__(self, asked: SearchRequest) -> None:
        self._asked = asked
        self._own = [("q", asked.text)] if asked.text else []
        self._rest = [("sort", asked.sort)] if asked.sort != "relevance" else []
        if asked.size != DEFAULT_SIZE:
            self._rest.append(("size", str(asked.size)))
        if asked.explain:
            self._rest.append(("explain", "1"))

    def pairs(self, *, without: str = "") -> list[tuple[str, str]]:
        """Return the parameters of this search, first page, for a form's hidden fields."""
        filters = [(name, value) for name, values in self._asked.filters.items() if name != without for value in values]
        return [*self._own, *self._rest, *filters]

    def with_values(self, facet: str, values: Iterable[str], path: str = PATH) -> str:
        """Return the address with these values of one facet instead of the chosen ones."""
        return _joined(path, [*self.pairs(without=facet), *((facet, value) for value in values)])

    def toggles(self, facet: str) -> "Toggles":
        """Return what makes the addresses of one facet's values."""
        return Toggles(facet, urlencode(self.pairs(without=facet)), self._asked.filters.get(facet, ()))

    def with_words(self, words: str) -> str:
        """Return the address with other words."""
        own = [("q", words)] if words else []
        return _joined(PATH, [*own, *self.pairs()[len(self._own) :]])

    def with_sort(self, sort: str) -> str:
        """Return the address in another order."""
        others = [pair for pair in self.pairs() if pair[0] != "sort"]
        return _joined(PATH, others if sort == "relevance" else [*others, ("sort", sort)])

    def without_filters(self) -> str:
        """Return the address with the words alone."""
        return _joined(PATH, [*self._own, *self._rest])

    def explained(self) -> str:
        """Return the address that gives the reasons of each hit."""
        return _joined(PATH, [*self.pairs(), ("explain", "1")])

    def all_values(self, facet: str) -> str:
        """Return the address of the page with all values of a facet."""
        return _joined(f"{PATH}/facets/{facet}", self.pairs())

    def why(self) -> str:
        """Return the address that asks why a document is missing."""
        return _joined(f"{PATH}/why", self.pairs())


class Toggles:
    """Addresses that choose one value of a facet, or take it back; the unchanging part is written once."""

    def __init__(self, facet: str, others: str, chosen: Sequence[str]) -> None:
        self._facet = facet
        self._is_multi = FACETS[facet].multi
        self._chosen = chosen
        self._others = others

    def to(self, value: str, *, instead_of: Iterable[str] = ()) -> str:
        """Return the address; `instead_of` are values that go when this one comes."""
        if value in self._chosen:
            values = [other for other in self._chosen if other != value]
        elif self._is_multi:
            gone = set(instead_of)
            values = [*(other for other in self._chosen if other not in gone), value]
        else:
            values = [value]
        own = "&".join(f"{self._facet}={quote_plus(one)}" for one in values)
        query = f"{self._others}&{own}" if self._others and own else self._others or own
        return f"{PATH}?{query}" if query else PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsPage:
    """Everything the results page shows."""

    asked: SearchRequest
    result: SearchResult
    address: Address
    groups: tuple[Group, ...]
    chips: tuple[Chip, ...]
    trails: Mapping[str, tuple[str, ...]]
    missing: Mapping[str, tuple[str, ...]]
    search_id: str | None = None
    recent: Sequence[str] = ()
    popular: Sequence[str] = ()


def build_groups(asked: SearchRequest, result: SearchResult, parents: Mapping[str, Mapping[str, str]]) -> list[Group]:
    """Return the facets that have something to choose, in their order."""
    address = Address(asked)
    groups = []
    for facet in asked.facets:
        values = result.facets.get(facet.name, ())
        if not values:
            continue
        if facet.is_dates:
            groups.append(_dates(facet, values, asked, address))
            continue
        above = parents.get(facet.name)
        if above:
            lines = tuple(_tree(facet, values, above, address))
        else:
            first = [value for at, value in enumerate(values) if at < SHOWN or value.selected]
            lines = tuple(_flat(facet, first, address))
        all_href = address.all_values(facet.name) if len(lines) < len(values) else ""
        groups.append(Group(name=facet.name, title=str(facet.label), lines=lines, all_href=all_href))
    return groups


def build_lines(
    asked: SearchRequest, facet: Facet, values: Sequence[FacetValue], parents: Mapping[str, str] | None
) -> list[Line]:
    """Return all values of one facet; a tree from its roots down, with all its branches."""
    address = Address(asked)
    if parents:
        return list(_tree(facet, values, parents, address, is_open=True))
    return list(_flat(facet, values, address))


def build_chips(asked: SearchRequest, result: SearchResult) -> list[Chip]:
    """Return the chosen values and the typed operators, in their order, each with the address without it."""
    address = Address(asked)
    text = asked.text
    typed = [
        Chip(
            title=mark.name,
            label=mark.value,
            href=address.with_words(f"{text[: mark.start]}{text[mark.end :]}".strip()),
        )
        for mark in asked.query.marks
    ]
    labels = {(name, value.value): str(value.label) for name, values in result.facets.items() for value in values}
    chosen = [
        Chip(
            title=str(FACETS[name].label),
            label=labels.get((name, value), label_of(name, value)),
            href=address.with_values(name, (other for other in values if other != value)),
        )
        for name, values in asked.filters.items()
        for value in values
    ]
    return [*chosen, *typed]


def build_missing(asked: SearchRequest, result: SearchResult) -> dict[str, tuple[str, ...]]:
    """Return the typed words that each hit lacks, when none of the shown ones has all of them."""
    # A code may be found in another spelling than it was typed in.
    words = [word for word in asked.query.typed if not any(ch.isdigit() for ch in word.text)]
    if result.corrected_from or len(words) > MOST_TOLD:
        return {}
    missing = {
        hit.id: tuple(word.text for word in words if hit.seen_terms and hit.seen_terms.isdisjoint(word.terms))
        for hit in result.hits
    }
    return missing if all(missing.values()) else {}


def build_trails(hits: Iterable[Hit], names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the names of the categories each hit lies in, from the root down; documents hold them leaf first."""
    return {hit.id: tuple(names[slug] for slug in reversed(hit.categories) if slug in names) for hit in hits}


def _flat(facet: Facet, values: Sequence[FacetValue], address: Address) -> Iterator[Line]:
    toggles = address.toggles(facet.name)
    for value in values:
        yield _line(value, toggles.to(value.value))


def _dates(facet: Facet, values: Sequence[FacetValue], asked: SearchRequest, address: Address) -> Group:
    own = next((value for value in asked.filters.get(UPDATED, ()) if is_own_period(value)), "..")
    first, _, last = own.partition("..")
    return Group(
        name=facet.name,
        title=str(facet.label),
        lines=tuple(_flat(facet, values, address)),
        first_day=first,
        last_day=last,
    )


def _tree(
    facet: Facet, values: Sequence[FacetValue], parents: Mapping[str, str], address: Address, *, is_open: bool = False
) -> Iterator[Line]:
    """Give the roots, and below what is chosen its branches; `is_open` gives all of them.

    Choosing a branch takes its parent's choice back: both together would be the parent.
    """
    toggles = address.toggles(facet.name)
    present = {value.value for value in values}
    children: dict[str | None, list[FacetValue]] = {}
    for value in values:
        above = parents.get(value.value)
        children.setdefault(above if above in present else None, []).append(value)
    ancestors = {value.value: list(_ancestors(value.value, parents)) for value in values}
    below: dict[str, list[str]] = {}
    for slug, line_up in ancestors.items():
        for above in line_up:
            below.setdefault(above, []).append(slug)
    opened = {slug for value in values if value.selected for slug in (value.value, *ancestors[value.value])}
    roots = children.get(None, [])

    def walk(level: Sequence[FacetValue], depth: int) -> Iterator[Line]:
        shown = 0
        for value in level:
            slug = value.value
            if not is_open and shown >= SHOWN and slug not in opened:
                continue
            shown += 1
            related = (*ancestors[slug], *below.get(slug, ()))
            yield _line(value, toggles.to(slug, instead_of=related), depth)
            if is_open or slug in opened or (len(roots) == 1 and depth == 0):
                yield from walk(children.get(slug, []), depth + 1)

    yield from walk(roots, 0)


def _ancestors(slug: str, parents: Mapping[str, str]) -> Iterator[str]:
    seen = {slug}
    above = parents.get(slug)
    while above is not None and above not in seen:
        yield above
        seen.add(above)
        above = parents.get(above)


def _line(value: FacetValue, href: str, depth: int = 0) -> Line:
    return Line(
        href=href, label=str(value.label), count=show_number(value.count), is_chosen=value.selected, depth=min(depth, 3)
    )


def _joined(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    query = urlencode([pair for pair in pairs if pair[0] not in (FIRST_DAY, LAST_DAY)])
    return f"{path}?{query}" if query else path
