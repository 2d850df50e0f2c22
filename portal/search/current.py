"""The engine of this process.  The one place of the search core that knows flask."""

from collections.abc import Callable
from threading import Lock

from flask import current_app

from portal.search.engine import SearchEngine
from portal.search.ranking import Synonyms, default_synonyms
from portal.search.stages import SecondStage, Steer, make_stages, unsteered
from portal.settings import Settings

EXTENSION = "casebook.engine"
SYNONYMS = "casebook.synonyms"
"""Where a feature above puts what gives the synonyms in force; without it the product's own list is used."""
STEERING = "casebook.steering"
"""Where a feature above puts what tells the pinned and hidden documents of a request."""
_making = Lock()


def make_engine(
    settings: Settings,
    *,
    for_writing: bool = False,
    synonyms: Callable[[], Synonyms] = default_synonyms,
    steer: Steer = unsteered,
) -> SearchEngine:
    """Make the engine that the settings name.  Nothing is opened or asked before the first use.

    `for_writing` gives the worker's patience to bulk writes; readers give up after a second.  `synonyms` is asked at
    every query, and so is `steer`, which tells what editors pinned and hid.
    """
    second = SecondStage(make_stages(settings.search_stages), steer)
    # Each engine's library is some ten megabytes; a process loads the one it uses.
    if settings.is_embedded_search:
        from portal.search.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(settings.data_dir / "index", synonyms=synonyms, second=second)
    from portal.search.opensearch.engine import OpenSearchEngine

    return OpenSearchEngine(
        hosts=settings.search_url.split(","),
        prefix=settings.search_prefix,
        ca=settings.search_ca,
        for_writing=for_writing,
        synonyms=synonyms,
        second=second,
    )


def engine() -> SearchEngine:
    """Return the engine of the current application, made at its first use and for reading only."""
    with _making:
        found: SearchEngine | None = current_app.extensions.get(EXTENSION)
        if found is None:
            found = make_engine(
                current_app.extensions["casebook.settings"],
                synonyms=current_app.extensions.get(SYNONYMS, default_synonyms),
                steer=current_app.extensions.get(STEERING, unsteered),
            )
            current_app.extensions[EXTENSION] = found
    return found
