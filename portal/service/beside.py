"""What stands beside a record or a request being written: similar past cases, and articles that may help."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from flask_babel import get_locale

from portal.access import Viewer
from portal.knowledge.models import KINDS as ARTICLE_KINDS
from portal.search import sources
from portal.search.answer import answer, still_readable
from portal.search.current import engine
from portal.search.engine import BadQuery, EngineBusy, EngineDown
from portal.search.request import LONGEST_TEXT, SearchRequest
from portal.search.results import Hit
from portal.service.models import Record

MOST_SHOWN = 5
LONGEST_QUERY = 4_000
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Beside:
    """What was found.  `is_degraded` says that the search engine did not answer, and that nothing means nothing."""

    records: Sequence[Hit] = ()
    articles: Sequence[Hit] = ()
    is_degraded: bool = False


def find_similar(viewer: Viewer, record: Record) -> Beside:
    """Find past cases and articles about the same matter as a record."""
    matter = f"{record.subject}\n{record.description}"[:LONGEST_QUERY]
    registry = sources.registry()
    try:
        cases = engine().similar(viewer, matter, kinds=("record",), exclude=(f"record:{record.id}",), limit=MOST_SHOWN)
        articles = engine().similar(viewer, matter, kinds=ARTICLE_KINDS, limit=MOST_SHOWN)
    except (EngineDown, EngineBusy, BadQuery) as error:
        log.warning("similar cases cannot be found", reason=str(error))
        return Beside(is_degraded=True)
    return Beside(still_readable(viewer, cases, registry), still_readable(viewer, articles, registry))


def find_answers(viewer: Viewer, subject: str) -> Beside:
    """Find articles that may answer a request of this subject."""
    asked = SearchRequest(
        viewer=viewer,
        text=subject[:LONGEST_TEXT],
        filters={"kind": ARTICLE_KINDS},
        size=MOST_SHOWN,
        with_facets=False,
        with_correction=False,
    )
    if not asked.text:
        return Beside()
    found = answer(asked, engine=engine(), registry=sources.registry(), locale=str(get_locale()))
    return Beside(articles=found.hits, is_degraded=found.degraded)
