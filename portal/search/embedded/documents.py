"""Documents as the embedded index holds them.

Text is analysed here (`portal.search.analysis`) and handed to tantivy as terms with spaces between them, which its
cheapest tokenizer takes apart again: several times faster than handing over token objects.
"""

import json
from collections.abc import Iterable
from typing import Any

import tantivy

from portal.search import analysis, stored
from portal.search.document import Document, Tombstone
from portal.search.embedded.schema import column
from portal.search.facets import FACETS
from portal.search.ranking import Field

THOUSAND = 1000
"""Fractions are held as whole thousandths."""


def build_indexed(item: Document | Tombstone, key: int) -> tantivy.Document:
    """Return a document or tombstone as tantivy takes it; `key` is the number of its id."""
    document = tantivy.Document()
    document.add_text("id", item.id)
    document.add_unsigned("key", key)
    document.add_unsigned("version", item.version)
    document.add_unsigned("gone", int(isinstance(item, Tombstone)))
    if isinstance(item, Document):
        _add_terms(document, item)
        _add_values(document, item)
    return document


def _add_terms(document: tantivy.Document, item: Document) -> None:
    folded = analysis.fold("\n".join(stored.texts_of(item)))
    title = analysis.fold(item.title)
    terms, words = analysis.terms_and_words_of(folded)
    fields = {
        Field.ALL: terms,
        Field.WORDS: words,
        Field.TITLE: analysis.terms_of(title),
        Field.LEAD: analysis.terms(stored.lead_of(item)),
        Field.CHARACTERS: analysis.characters_of(folded),
        Field.TITLE_CHARACTERS: analysis.characters_of(title),
        Field.INTERNAL: analysis.terms(item.internal[: stored.LONGEST_TEXT]),
    }
    for name, found in fields.items():
        if found:
            document.add_text(name.value, " ".join(found))
    document.add_text("title_words", " ".join(stored.title_words(item.title)))
    for code in stored.codes_of(item, folded):
        document.add_text(Field.CODES.value, code)


def _add_values(document: tantivy.Document, item: Document) -> None:
    data = stored.stored_fields(item)
    values: dict[str, Iterable[str]] = {
        "readers": item.readers,
        "identifiers": stored.identifiers_of(item),
        "title_start": [stored.title_key(item.title)],
        "pinyin": stored.pinyin_of(item.title),
    }
    for facet in FACETS.values():
        if not facet.is_dates and facet.name in data:
            values[column(facet.name)] = data[facet.name]
    for name, several in values.items():
        for value in several:
            document.add_text(name, value)
    document.add_unsigned("updated_at", stored.epoch(item.updated_at))
    document.add_unsigned("popularity", max(0, int(item.popularity * THOUSAND)))
    document.add_unsigned("helpfulness", min(THOUSAND, max(0, round(item.helpfulness * THOUSAND))))
    document.add_bytes("stored", stored.written(data))


def read_stored(searcher: tantivy.Searcher, address: tantivy.DocAddress) -> tuple[str, dict[str, Any]]:
    """Return the id of a document that was found, and what is stored of it."""
    document = searcher.doc(address)
    data: dict[str, Any] = json.loads(bytes(document.get_first("stored") or b"{}"))
    return str(document.get_first("id")), data
