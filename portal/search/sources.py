"""What features tell the search: how to check rights on rows, how to look up titles in SQL, how slugs are called.

Search lies below the features that own articles, records and customers, so they register themselves here at start.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote

from flask import Flask, current_app
from sqlalchemy import Select, bindparam

from portal.access import Viewer
from portal.extensions import db
from portal.search.results import Hit

READERS_AT_A_TIME = 256
"""For so many readers a process keeps the statements that every search asks: making one costs twice its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an object stands now, as SQL has it: `readers` are the audience tokens that may read it."""

    title: str
    url: str
    readers: frozenset[str]
    state: str = "published"


def _unknown(_: object) -> None:
    return None


ReadableIds = Callable[[Viewer, Collection[int]], set[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One indexed model.

    `readable_ids(viewer, ids)` returns those of the ids that the viewer may read at this moment, in one query.
    `find_titles(viewer, words, kinds, limit, offset)` returns `(total, hits)` of rows whose title holds every word,
    newest first, under the same rule: the search that is left when the engine is down.
    `standing(id)` tells how one object stands; `look_up(text)` finds it by what people call it: number, slug, address.
    """

    kind: str
    readable_ids: ReadableIds
    find_titles: Callable[[Viewer, Collection[str], Collection[str], int, int], tuple[int, list[Hit]]]
    standing: Callable[[int], Standing | None] = _unknown
    look_up: Callable[[str], int | None] = _unknown


def make_readable_ids(select_readable: Callable[[Viewer, Any], Select[Any]], column: Any) -> ReadableIds:
    """Make a source's `readable_ids` of what begins a query over the rows a viewer may read, and their id column."""

    @lru_cache(maxsize=READERS_AT_A_TIME)
    def select_ids(viewer: Viewer) -> Select[Any]:
        return select_readable(viewer, column).where(column.in_(bindparam("ids", expanding=True)))

    def readable_ids(viewer: Viewer, ids: Collection[int]) -> set[int]:
        """Return those of the ids that the viewer may read now."""
        return set(db.session.scalars(select_ids(viewer), {"ids": list(ids)}))

    return readable_ids


Labels = Callable[[Collection[str], str], Mapping[str, str]]


Parents = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page of the portal that holds documents of one matter, offered while somebody types its name."""

    name: str
    url: str


Places = Callable[[Viewer, str, str, int], list[Place]]


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that was registered with one app."""

    sources: dict[str, Source]
    labels: dict[str, Labels]
    parents: dict[str, Parents]
    places: list[Places]

    def readable(self, viewer: Viewer, document_id: str) -> Standing | None:
        """Return how the object of a document stands; None for one that is missing or that the viewer may not read."""
        kind, _, number = document_id.partition(":")
        source = self.sources.get(kind)
        if source is None or not (number.isascii() and number.isdigit() and len(number) < 10):
            return None
        return source.standing(int(number)) if source.readable_ids(viewer, [int(number)]) else None

    def look_up(self, text: str) -> str | None:
        """Return the document that people mean by an id, a number, a slug or an address."""
        text = text.strip()
        kind, _, number = text.partition(":")
        if kind in self.sources and number.isascii() and number.isdigit():
            return f"{kind}:{int(number[:9])}"
        path = "/" + text.split("/", 3)[3] if text.startswith(("http://", "https://")) and text.count("/") > 2 else text
        path = unquote(path.partition("?")[0].partition("#")[0]).replace("\0", "")
        for source in self.sources.values():
            if path and (found := source.look_up(path)) is not None:
                return f"{source.kind}:{found}"
        return None


def init_app(app: Flask) -> None:
    """Give the app an empty registry."""
    app.extensions["casebook.sources"] = Registry({}, {}, {}, [])


def register(app: Flask, source: Source) -> None:
    """Let hits of this model be checked, and found when the engine is down."""
    _registry(app).sources[source.kind] = source


def register_labels(app: Flask, facet: str, labels: Labels) -> None:
    """Tell how the values of a facet are called: `labels(values, locale)` returns value → name."""
    _registry(app).labels[facet] = labels


def register_parents(app: Flask, facet: str, parents: Parents) -> None:
    """Tell that the values of a facet form a tree: `parents()` returns each value with the one above it."""
    _registry(app).parents[facet] = parents


def register_places(app: Flask, places: Places) -> None:
    """Offer pages while somebody types: `places(viewer, text, locale, limit)` returns those the viewer may open."""
    _registry(app).places.append(places)


def registry() -> Registry:
    """Return the running app's registry."""
    return _registry(current_app)


def _registry(app: Flask) -> Registry:
    return cast("Registry", app.extensions["casebook.sources"])
