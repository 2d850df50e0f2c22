"""Documents as the embedded index holds them.

Text is analysed here (`portal.search.analysis`) and handed to tantivy as terms with spaces between them, which its
cheapest tokenizer takes apart again: several times faster than handing over token objects.
"""

import json
from base64 import b64encode
from typing import Any

import tantivy

from portal.search import analysis, stored
from portal.search.document import Document, Ready, Tombstone
from portal.search.embedded.schema import column, key_of, title_starts
from portal.search.facets import FACETS
from portal.search.ranking import Field

THOUSAND = 1000
"""Fractions are held as whole thousandths."""
MOST_POPULAR = 2**53
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def make_ready(item: Document | Tombstone) -> Ready:
    """Return a document or tombstone as the JSON that tantivy reads.

    Raises:
        ValueError: a text cannot be written in UTF-8.
    """
    fields: dict[str, Any] = {
        "id": item.id,
        "key": key_of(item.id),
        "version": item.version,
        "gone": int(isinstance(item, Tombstone)),
    }
    if isinstance(item, Document):
        fields |= _terms_of(item)
        fields |= _values_of(item)
    return Ready(id=item.id, version=item.version, body=_ENCODER.encode(fields).encode())


def _terms_of(item: Document) -> dict[str, Any]:
    folded = analysis.fold("\n".join(stored.texts_of(item)))
    title = analysis.fold(stored.title_of(item))
    terms, words = analysis.terms_and_words_of(folded)
    found = {
        Field.ALL: terms,
        Field.WORDS: words,
        Field.TITLE: analysis.terms_of(title),
        Field.LEAD: analysis.terms(stored.lead_of(item)),
        Field.CHARACTERS: analysis.characters_of(folded),
        Field.TITLE_CHARACTERS: analysis.characters_of(title),
        Field.INTERNAL: analysis.terms(item.internal[: stored.LONGEST_TEXT]),
    }
    fields: dict[str, Any] = {name.value: " ".join(several) for name, several in found.items() if several}
    key, words_of_title = stored.title_forms(title)
    fields["title_start"] = title_starts(key)
    fields["title_words"] = " ".join(words_of_title)
    fields[Field.CODES.value] = stored.codes_of(item, folded)
    return fields


def _values_of(item: Document) -> dict[str, Any]:
    data = stored.stored_fields(item)
    fields: dict[str, Any] = {
        "readers": sorted(item.readers),
        "identifiers": stored.identifiers_of(item),
        "pinyin": stored.pinyin_of(item.title),
        "updated_at": stored.epoch(item.updated_at),
        "popularity": min(MOST_POPULAR, max(0, int(item.popularity * THOUSAND))),
        "helpfulness": min(THOUSAND, max(0, round(item.helpfulness * THOUSAND))),
        "stored": b64encode(stored.written(data)).decode(),
    }
    for facet in FACETS.values():
        if not facet.is_dates and facet.name in data:
            fields[column(facet.name)] = data[facet.name]
    return fields


def read_stored(searcher: tantivy.Searcher, address: tantivy.DocAddress) -> tuple[str, dict[str, Any]]:
    """Return the id of a document that was found, and what is stored of it."""
    document = searcher.doc(address)
    data: dict[str, Any] = json.loads(bytes(document.get_first("stored") or b"{}"))
    return str(document.get_first("id")), data
