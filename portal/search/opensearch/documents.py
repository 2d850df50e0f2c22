"""Documents as OpenSearch takes them: lines of bulk requests that are bounded by bytes and count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from portal.search import analysis, stored
from portal.search.document import Document, Tombstone
from portal.search.opensearch.queries import Json

BULK_BYTES = 5_000_000
BULK_DOCUMENTS = 250


@dataclass(slots=True)
class Chunk:
    """Some documents of a batch as lines of a bulk request."""

    items: list[Document | Tombstone] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


def chunks_of(batch: Sequence[Document | Tombstone]) -> Iterator[Chunk]:
    """Cut a batch into bulk requests of bounded size."""
    chunk = Chunk()
    for item in batch:
        lines = bulk_lines(item)
        if chunk.items and (chunk.size + len(lines) > BULK_BYTES or len(chunk.items) >= BULK_DOCUMENTS):
            yield chunk
            chunk = Chunk()
        chunk.items.append(item)
        chunk.lines.append(lines)
        chunk.size += len(lines)
    if chunk.items:
        yield chunk


def bulk_lines(item: Document | Tombstone) -> bytes:
    """Return what a bulk request says of one document: the version guards it, the mapping knows every field."""
    action = {"index": {"_id": item.id, "version": item.version, "version_type": "external_gte"}}
    return b"%s\n%s\n" % (stored.written(action), stored.written(source_of(item)))


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
        "first_lines": stored.lead_of(item),
        "codes": " ".join(stored.codes_of(item, folded)),
        "identifier_keys": stored.identifiers_of(item),
        "title_start": stored.title_key(item.title),
        "title_words": " ".join(stored.title_words(item.title)),
    }
    if pinyin := stored.pinyin_of(item.title):
        source["pinyin"] = list(pinyin)
    return source
