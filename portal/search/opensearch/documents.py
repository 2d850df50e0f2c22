"""Documents as OpenSearch takes them: lines of bulk requests that are bounded by bytes and count."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from portal.search import analysis, stored
from portal.search.document import Document, Ready, Tombstone
from portal.search.opensearch.queries import Json

BULK_BYTES = 5_000_000
BULK_DOCUMENTS = 250


@dataclass(slots=True)
class Chunk:
    """Some documents of a batch, for one bulk request."""

    items: list[Ready] = field(default_factory=list)
    size: int = 0


def chunks_of(batch: Iterable[Document | Tombstone | Ready]) -> Iterator[Chunk]:
    """Cut a batch into bulk requests of bounded size."""
    chunk = Chunk()
    for item in batch:
        ready = item if isinstance(item, Ready) else make_ready(item)
        if chunk.items and (chunk.size + len(ready.body) > BULK_BYTES or len(chunk.items) >= BULK_DOCUMENTS):
            yield chunk
            chunk = Chunk()
        chunk.items.append(ready)
        chunk.size += len(ready.body)
    if chunk.items:
        yield chunk


def make_ready(item: Document | Tombstone) -> Ready:
    """Return what a bulk request says of one document: the version guards it, the mapping knows every field."""
    action = {"index": {"_id": item.id, "version": item.version, "version_type": "external_gte"}}
    body = b"%s\n%s\n" % (stored.written(action), stored.written(source_of(item)))
    return Ready(id=item.id, version=item.version, body=body)


def source_of(item: Document | Tombstone) -> Json:
    """Return a document or tombstone under the names of the mapping."""
    if isinstance(item, Tombstone):
        return {"id": item.id, "gone": True}
    source = stored.stored_fields(item)
    folded = analysis.fold("\n".join(stored.texts_of(item)))
    source |= {
        "id": item.id,
        "gone": False,
        "readers": sorted(item.readers),
        "searched_title": stored.title_of(item),
        "first_lines": stored.lead_of(item),
        "codes": " ".join(stored.codes_of(item, folded)),
        "identifier_keys": stored.identifiers_of(item),
        "title_start": stored.title_key(item.title),
        "title_words": " ".join(stored.title_words(item.title)),
    }
    if pinyin := stored.pinyin_of(item.title):
        source["pinyin"] = list(pinyin)
    return source
