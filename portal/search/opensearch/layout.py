"""Settings and mapping of an index in OpenSearch."""

import json
from functools import lru_cache

from portal.search import analysis
from portal.search.opensearch.queries import Json


@lru_cache(maxsize=1)
def index_body() -> Json:
    """Return settings and mapping with the folding table put in: each index carries its own copy."""
    settings: Json = json.loads((analysis.TABLES / "settings.json").read_text(encoding="utf-8"))
    mapping: Json = json.loads((analysis.TABLES / "mapping.json").read_text(encoding="utf-8"))
    rules = (analysis.TABLES / "fold.txt").read_text(encoding="utf-8").splitlines()
    settings["analysis"]["char_filter"]["fold"]["mappings"] = rules
    return {"settings": settings, "mappings": mapping}
