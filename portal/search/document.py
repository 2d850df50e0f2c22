"""What the index holds of an article, a record or a customer.

A document is plain data: the indexer shapes it from SQL, an engine writes it.  `readers` are the audience tokens of
`portal.access`; a document without readers is found by nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a found thing is to people; also the values of the first facet."""

    FAQ = "faq"
    CASE_STUDY = "case_study"
    RECORD = "record"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a document that a hit can link to; `anchor` is empty when the page has none for it."""

    anchor: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedText:
    """What could be read out of an attached file."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One findable thing, as it is at `version`.

    `id` is the object's kind and number ("article:17"), the same for ever; `kind` is what people filter by.
    `body` and `sections` are texts that every reader of the document may read, without markup.  Text that stands in a
    section need not be repeated in the body: both are searched.  `internal` is searched for staff alone and never shown
    to, scored for or suggested to anybody else.  `facets` holds further values for staff's facets (assignee, priority).
    `popularity` counts readers and votes; `helpfulness` goes from 0 to 1, and .5 says that nobody voted.
    """

    id: str
    version: int
    kind: str
    readers: frozenset[str]
    title: str
    lead: str = ""
    body: str = ""
    internal: str = ""
    sections: tuple[Section, ...] = ()
    identifiers: tuple[str, ...] = ()
    other_titles: tuple[str, ...] = ()
    attachments: tuple[AttachedText, ...] = ()
    language: str = ""
    categories: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    status: str = ""
    source: str = ""
    external_id: str = ""
    url: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    published_at: datetime | None = None
    popularity: float = 0.0
    helpfulness: float = 0.5
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What the index holds of a thing that may no longer be found.

    It keeps its version, so that a late, older write cannot bring the thing back; no query matches it.
    """

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A document or tombstone in the bytes that one kind of engine takes; made by any process, written by one."""

    id: str
    version: int
    body: bytes
