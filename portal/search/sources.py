"""What features tell the search: how to check rights on rows, how to look up titles in SQL, how slugs are called.

Search lies below the features that own articles, records and customers, so they register themselves here at start.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from portal.access import Viewer
from portal.search.results import Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One indexed model.

    `readable_ids(viewer, ids)` returns those of the ids that the viewer may read at this moment, in one query.
    `find_titles(viewer, words, kinds, limit, offset)` returns `(total, hits)` of rows whose title holds every word,
    newest first, under the same rule: the search that is left when the engine is down.
    """

    kind: str
    readable_ids: Callable[[Viewer, Collection[int]], set[int]]
    find_titles: Callable[[Viewer, Collection[str], Collection[str], int, int], tuple[int, list[Hit]]]


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
    """Tell that the values of a facet form a tree: `parents()` returns value → the value above it, for all but roots."""
    _registry(app).parents[facet] = parents


def register_places(app: Flask, places: Places) -> None:
    """Offer pages while somebody types: `places(viewer, text, locale, limit)` returns those the viewer may open."""
    _registry(app).places.append(places)


def registry() -> Registry:
    """Return the running app's registry."""
    return _registry(current_app)


def _registry(app: Flask) -> Registry:
    return cast("Registry", app.extensions["casebook.sources"])
