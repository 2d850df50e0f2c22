"""What an index of the embedded engine holds: its fields, and the numbers that stand for ids."""

from hashlib import blake2b

import tantivy

from portal.search.facets import FACETS
from portal.search.ranking import Field

NAME = "embedded"
FORMAT = "3"
KINDS = ("article", "record", "customer")
KEY_BITS = 56
LONGEST_NUMBER = 17
HASHED = 1 << 63
STARTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
"""As many first characters of a title are a term each: one list of documents, where a pattern reads one a title."""


def build_schema() -> tantivy.Schema:
    """Return the fields; a change of them is a new `FORMAT`."""
    build = tantivy.SchemaBuilder()
    build.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    build.add_unsigned_field("key", indexed=True, fast=True)
    build.add_unsigned_field("version", fast=True)
    build.add_unsigned_field("gone", indexed=True, fast=True)
    for name in ("readers", "identifiers", "title_start", "pinyin", Field.CODES.value):
        build.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in (Field.ALL.value, Field.INTERNAL.value):
        build.add_text_field(name, tokenizer_name="whitespace", index_option="position")
    for searched in (Field.TITLE, Field.LEAD, Field.WORDS, Field.CHARACTERS, Field.TITLE_CHARACTERS):
        build.add_text_field(searched.value, tokenizer_name="whitespace", index_option="freq")
    build.add_text_field("title_words", tokenizer_name="whitespace", index_option="basic")
    for facet in FACETS.values():
        if not facet.is_dates:
            build.add_text_field(column(facet.name), tokenizer_name="raw", index_option="basic", fast=True)
    build.add_unsigned_field("updated_at", indexed=True, fast=True)
    build.add_unsigned_field("popularity", fast=True)
    build.add_unsigned_field("helpfulness", fast=True)
    build.add_bytes_field("stored", stored=True)
    return build.build()


def title_starts(key: str) -> list[str]:
    """Return the terms of how a title begins."""
    return [key[:length] for length in STARTS if length <= len(key)]


def column(facet: str) -> str:
    """Return the field that holds a facet's values."""
    return f"facet_{facet}"


def key_of(document_id: str) -> int:
    """Return a number for an id: reversible for the kinds the product indexes, a hash for any other."""
    kind, _, number = document_id.partition(":")
    if kind in KINDS and number.isascii() and number.isdigit() and len(number) < LONGEST_NUMBER and number[0] != "0":
        return (KINDS.index(kind) << KEY_BITS) | int(number)
    return HASHED | int.from_bytes(blake2b(document_id.encode(), digest_size=8).digest(), "big") >> 1


def id_of(key: int) -> str | None:
    """Return the id of a number; None where the number is a hash."""
    if key >= HASHED:
        return None
    return f"{KINDS[key >> KEY_BITS]}:{key & ((1 << KEY_BITS) - 1)}"
