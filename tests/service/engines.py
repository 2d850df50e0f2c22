"""Stand-ins for the search engine, where a test is about something else or about its absence."""

from portal.search.engine import EngineDown
from portal.search.results import SearchResult


class QuietEngine:
    """Answers that nothing was found."""

    name = "embedded"

    def search(self, request):
        return SearchResult(query=request.text, engine=self.name, total=0, hits=())

    def correct(self, request):
        return None

    def similar(self, viewer, text, kinds=(), exclude=(), limit=5):
        return ()


class DeadEngine(QuietEngine):
    """Does not answer."""

    def search(self, request):
        raise EngineDown("the engine does not answer")

    def similar(self, viewer, text, kinds=(), exclude=(), limit=5):
        raise EngineDown("the engine does not answer")
