"""What an engine answers with: frozen, and shaped like the JSON that the API promises.

Highlights are `Markup`: escaped first and marked after, by `portal.search.highlight` alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from markupsafe import Markup

from portal.search.guidance import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedSection:
    """The part of a document in which the words stand closest, to link to."""

    anchor: str
    heading: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedField:
    """Why a hit stands where it stands: one field's share of its score, and the words found there.  For staff.

    The shares of all fields add up to the score.
    """

    field: str
    score: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One found document.

    `title_html` is the title with its matches marked; `snippets` are at most two passages with marks, or the first
    lines when nothing in the text matched.  `matched_fields` is filled when the request asked for reasons.  `is_pinned`
    tells that an editor put it first, whatever its score; `file` names the attached file in which the words stand
    closest, `seen_terms` are the query's terms that stand in the title and text.
    """

    id: str
    kind: str
    title: str
    title_html: Markup
    snippets: tuple[Markup, ...] = ()
    url: str = ""
    score: float = 0.0
    source: str = ""
    external_id: str = ""
    language: str = ""
    status: str = ""
    categories: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    published_at: datetime | None = None
    section: MatchedSection | None = None
    in_internal: bool = False
    is_pinned: bool = False
    file: str = ""
    seen_terms: frozenset[str] = frozenset()
    matched_fields: tuple[MatchedField, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetValue:
    """One value of a facet, with the number of readable hits it would give."""

    value: str
    label: str
    count: int
    selected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The answer to one request.

    `did_you_mean` is offered, never applied by itself; `corrected_from` is for callers that ran the correction and show
    what was typed.  `missing_words` are words of the query that stand in no document this viewer may read.
    `degraded` is set by the fallback that answers when the engine is down.  `rules` are the pins and hides that acted,
    and `hidden` how many hits the hides took away; both are for staff alone.
    """

    query: str
    engine: str
    total: int
    hits: tuple[Hit, ...]
    facets: Mapping[str, tuple[FacetValue, ...]] = field(default_factory=dict)
    total_is_exact: bool = True
    took_ms: float = 0.0
    degraded: bool = False
    did_you_mean: str | None = None
    corrected_from: str | None = None
    missing_words: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    hidden: int = 0
    page: int = 1
    size: int = 20

    @property
    def searched(self) -> str:
        """The words that the hits are for: the mended ones where the typed ones found nothing."""
        return self.did_you_mean if self.corrected_from and self.did_you_mean else self.query

    @property
    def pages(self) -> int:
        """How many pages there are, as far as they can be reached."""
        reachable = min(self.total, 10_000)
        return -(-reachable // self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A title offered while somebody types."""

    id: str
    kind: str
    title: str
    title_html: Markup
    url: str


class Presence(StrEnum):
    """Why a document does or does not stand among the hits of a search."""

    FOUND = "found"
    NOT_INDEXED = "not_indexed"
    WITHDRAWN = "withdrawn"
    NOT_READABLE = "not_readable"
    HIDDEN = "hidden"
    FILTERED = "filtered"
    NO_MATCH = "no_match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one document is, or is not, among the hits.  `rank` counts from 1; 0 when it is not among the reachable ones.

    `filters` names the facets whose selection keeps the document out.  `is_pinned` tells that an editor put it where it
    is, and `score` is what it would be ranked by; `is_refined` that it is among the best, to whose scores alone the
    plan's refining clauses add.
    """

    id: str
    presence: Presence
    rank: int = 0
    score: float = 0.0
    matched_fields: tuple[MatchedField, ...] = ()
    filters: tuple[str, ...] = ()
    is_pinned: bool = False
    is_refined: bool = True


class Outcome(StrEnum):
    """What became of one written document."""

    DONE = "done"
    SUPERSEDED = "superseded"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOutcome:
    """What became of one document of a batch, in the batch's order.

    `superseded` means that the index holds a newer version, which is success.  `retry` means that nothing is wrong with
    the document.  `reason` never quotes the document's content.
    """

    id: str
    version: int
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedVersion:
    """What the index holds of one object, for the comparison with SQL."""

    id: str
    version: int
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSummary:
    """One index of this installation."""

    name: str
    documents: int
    bytes: int
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """Whether the engine can answer, and a sentence for people when it cannot."""

    engine: str
    is_up: bool
    detail: str = ""
    version: str = ""
    live_index: str | None = None
    documents: int = 0
