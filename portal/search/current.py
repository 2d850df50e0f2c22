"""The engine of this process.  The one place of the search core that knows flask."""

from collections.abc import Callable
from threading import Lock

from flask import current_app

from portal.search.engine import SearchEngine
from portal.search.steering import Steering, default_steering
from portal.settings import Settings

EXTENSION = "casebook.engine"
STEERING = "casebook.steering"
"""Where a feature above puts what gives the steering in force; without it the product's own is used."""
_making = Lock()


def make_engine(
    settings: Settings, *, for_writing: bool = False, steering: Callable[[], Steering] = default_steering
) -> SearchEngine:
    """Make the engine that the settings name.  Nothing is opened or asked before the first use.

    `for_writing` gives the worker's patience to bulk writes; readers give up after a second.  `steering` is asked at
    every query.
    """
    # Each engine's library is some ten megabytes; a process loads the one it uses.
    if settings.is_embedded_search:
        from portal.search.embedded import EmbeddedEngine

        return EmbeddedEngine(settings.data_dir / "index", steering=steering)
    from portal.search.opensearch import OpenSearchEngine

    return OpenSearchEngine(
        hosts=settings.search_url.split(","),
        prefix=settings.search_prefix,
        ca=settings.search_ca,
        for_writing=for_writing,
        steering=steering,
    )


def engine() -> SearchEngine:
    """Return the engine of the current application, made at its first use and for reading only."""
    with _making:
        found: SearchEngine | None = current_app.extensions.get(EXTENSION)
        if found is None:
            found = make_engine(
                current_app.extensions["casebook.settings"],
                steering=current_app.extensions.get(STEERING, default_steering),
            )
            current_app.extensions[EXTENSION] = found
    return found
