"""The engine of this process.  The one place of the search core that knows flask."""

from collections.abc import Callable
from threading import Lock

from flask import current_app

from portal.search.engine import SearchEngine
from portal.search.ranking import Synonyms, default_synonyms
from portal.settings import Settings

EXTENSION = "casebook.engine"
SYNONYMS = "casebook.synonyms"
"""Where a feature above puts what gives the synonyms in force; without it the product's own list is used."""
_making = Lock()


def make_engine(
    settings: Settings, *, for_writing: bool = False, synonyms: Callable[[], Synonyms] = default_synonyms
) -> SearchEngine:
    """Make the engine that the settings name.  Nothing is opened or asked before the first use.

    `for_writing` gives the worker's patience to bulk writes; readers give up after a second.  `synonyms` is asked at
    every query.
    """
    # Each engine's library is some ten megabytes; a process loads the one it uses.
    if settings.is_embedded_search:
        from portal.search.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(settings.data_dir / "index", synonyms=synonyms)
    from portal.search.opensearch.engine import OpenSearchEngine

    return OpenSearchEngine(
        hosts=settings.search_url.split(","),
        prefix=settings.search_prefix,
        ca=settings.search_ca,
        for_writing=for_writing,
        synonyms=synonyms,
    )


def engine() -> SearchEngine:
    """Return the engine of the current application, made at its first use and for reading only."""
    with _making:
        found: SearchEngine | None = current_app.extensions.get(EXTENSION)
        if found is None:
            found = make_engine(
                current_app.extensions["casebook.settings"],
                synonyms=current_app.extensions.get(SYNONYMS, default_synonyms),
            )
            current_app.extensions[EXTENSION] = found
    return found
