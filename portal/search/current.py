"""The engine of this process.  The one place of the search core that knows flask."""

from collections.abc import Callable
from threading import Lock

from flask import current_app

from portal.search.document import Document, Ready, Tombstone
from portal.search.engine import SearchEngine
from portal.search.guidance import Guidance, Steering, default_guidance
from portal.search.request import SearchRequest
from portal.search.stages import SecondStage, make_stages
from portal.settings import Settings

EXTENSION = "casebook.engine"
GUIDANCE = "casebook.guidance"
"""Where a feature above puts what gives the guidance in force; without it the product's own is used."""
_making = Lock()


def make_engine(
    settings: Settings,
    *,
    for_writing: bool = False,
    guidance: Callable[[], Guidance] = default_guidance,
) -> SearchEngine:
    """Make the engine that the settings name.  Nothing is opened or asked before the first use.

    `for_writing` gives the worker's patience to bulk writes; readers give up after a second.  `guidance` is asked at
    every query.
    """

    def steer(request: SearchRequest) -> Steering:
        return guidance().steering_of(request.query, with_hides=request.with_hides)

    second = SecondStage(make_stages(settings.search_stages), steer)
    # Each engine's library is some ten megabytes; a process loads the one it uses.
    if settings.is_embedded_search:
        from portal.search.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(settings.data_dir / "index", guidance=guidance, second=second)
    from portal.search.opensearch.engine import OpenSearchEngine

    return OpenSearchEngine(
        hosts=settings.search_url.split(","),
        prefix=settings.search_prefix,
        ca=settings.search_ca,
        for_writing=for_writing,
        guidance=guidance,
        second=second,
    )


def ready_maker(engine_name: str) -> Callable[[Document | Tombstone], Ready]:
    """Return what makes documents ready for an engine of this name, without opening or asking one."""
    if engine_name == "embedded":
        from portal.search.embedded.documents import make_ready
    else:
        from portal.search.opensearch.documents import make_ready
    return make_ready


def engine() -> SearchEngine:
    """Return the engine of the current application, made at its first use and for reading only."""
    with _making:
        found: SearchEngine | None = current_app.extensions.get(EXTENSION)
        if found is None:
            found = make_engine(
                current_app.extensions["casebook.settings"],
                guidance=current_app.extensions.get(GUIDANCE, default_guidance),
            )
            current_app.extensions[EXTENSION] = found
    return found
