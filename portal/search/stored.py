"""What both engines keep of a document, under the same names, and how a hit is made of it again.

The names are those of OpenSearch's mapping; the embedded engine stores the same as JSON.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from portal.search import analysis
from portal.search.document import Document
from portal.search.facets import FACETS
from portal.search.highlight import Marker, Part
from portal.search.results import Hit, MatchedField, MatchedSection

LEAD_LENGTH = 200
LONGEST_KEYWORD = 512
MARKS = "#*_>-=`|~ \t\r\n"
LONGEST_PINYIN = 24
PINYIN_STARTS = 16
LONGEST_READ_TOGETHER = 4
# Everyday words of a help desk that the library reads as "heavy" where they mean "again".
AGAIN = {"重置": "zhi", "重装": "zhuang", "重设": "she", "重试": "shi", "重连": "lian", "重做": "zuo", "重发": "fa"}
# Beyond this a text is a book; what stands behind is neither searched nor worth a reader's memory.
LONGEST_TEXT = 400_000


def stored_fields(document: Document) -> dict[str, Any]:
    """Return what a hit is made of, without what only the search itself needs.

    First lines that open the body as well are left out: they are neither found nor shown twice.
    """
    fields: dict[str, Any] = {
        "title": document.title,
        "lead": "" if _opens_the_text(document) else document.lead,
        "body": document.body[:LONGEST_TEXT],
        "internal": document.internal[:LONGEST_TEXT],
        "other_titles": list(document.other_titles),
        "sections": [{"anchor": s.anchor, "heading": s.heading, "text": s.text} for s in document.sections],
        "attachments": [{"name": a.name, "text": a.text[:LONGEST_TEXT]} for a in document.attachments],
        "identifiers": list(document.identifiers),
        "external_id": document.external_id,
        "url": document.url,
        "created_at": _written(document.created_at),
        "updated_at": _written(document.updated_at),
        "published_at": _written(document.published_at),
        "popularity": document.popularity,
        "helpfulness": document.helpfulness,
    }
    for facet in FACETS.values():
        if not facet.is_dates:
            fields[facet.name] = facet_values(document, facet.name)
    return {name: value for name, value in fields.items() if value not in ("", [], None)}


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def written(fields: Mapping[str, Any]) -> bytes:
    """Return fields as JSON; what cannot be written in UTF-8 becomes a question mark."""
    return _ENCODER.encode(fields).encode("utf-8", "replace")


def facet_values(document: Document, name: str) -> list[str]:
    """Return a document's values of one facet, each once, cut to what a keyword may hold."""
    return list(dict.fromkeys(value[:LONGEST_KEYWORD] for value in FACETS[name].values_of(document) if value))


def lead_of(document: Document) -> str:
    """Return the first lines: the summary, or how the text begins."""
    if document.lead:
        return document.lead
    if document.body:
        return document.body[:LEAD_LENGTH]
    return document.sections[0].text[:LEAD_LENGTH] if document.sections else ""


def title_of(document: Document) -> str:
    """Return the title as it is searched; nothing where it is only how the text begins, cut off.

    What was imported without a title is called by its first words, which would count twice and like a title.
    """
    if not document.title.endswith("…"):
        return document.title
    text = (document.body or (document.sections[0].text if document.sections else "")).lstrip(MARKS)
    return "" if text.startswith(document.title[:-1].rstrip()) else document.title


def _opens_the_text(document: Document) -> bool:
    first = document.sections[0].text if document.sections else ""
    return (document.body or first).startswith(document.lead)


def texts_of(document: Document) -> list[str]:
    """Return all that every reader of the document may find it by."""
    texts = [title_of(document), *document.other_titles]
    if document.lead and not _opens_the_text(document):
        texts.append(document.lead)
    texts.append(document.body)
    for section in document.sections:
        texts += (section.heading, section.text)
    texts += document.identifiers
    for attachment in document.attachments:
        texts += (attachment.name, attachment.text)
    return [text[:LONGEST_TEXT] for text in texts if text]


def codes_of(document: Document, folded: str) -> list[str]:
    """Return the codes in a document's text, and its own identifiers in every way they may be typed."""
    found = dict.fromkeys(analysis.codes_of(folded))
    for identifier in identifiers_of(document):
        found |= dict.fromkeys(analysis.code_forms(identifier))
    return [code for code in found if len(code) <= LONGEST_KEYWORD]


def identifiers_of(document: Document) -> list[str]:
    """Return what `id:` finds a document by, in small letters."""
    own = (document.id, document.external_id, *document.identifiers)
    return list(dict.fromkeys(identifier_key(value) for value in own if value))


def identifier_key(text: str) -> str:
    """Return the form in which identifiers are compared."""
    return analysis.fold(text).lower()[:LONGEST_KEYWORD]


def title_key(title: str) -> str:
    """Return a title as prefixes are compared: folded, in small letters, words apart by one space."""
    return title_forms(analysis.fold(title))[0]


def title_words(title: str) -> list[str]:
    """Return a title's words as typed, and its Chinese characters one by one."""
    return title_forms(analysis.fold(title))[1]


def title_forms(folded: str) -> tuple[str, list[str]]:
    """Return `title_key` and `title_words` of a title that is folded already."""
    words = analysis.cut(folded.lower())
    key = " ".join(words)[:LONGEST_KEYWORD]
    if folded.isascii():
        return key, words
    return key, [part for word in words for part in (word if analysis.is_run(word) else (word,))]


@lru_cache(maxsize=4096)
def pinyin_of(title: str) -> tuple[str, ...]:
    """Return how a Chinese title is typed in pinyin and in initials, from each of its first characters on."""
    if title.isascii():
        return ()
    runs = "".join(analysis.han_runs(analysis.fold(title)))[: LONGEST_PINYIN + PINYIN_STARTS]
    if not runs:
        return ()
    syllables = _syllables(runs)
    found: dict[str, None] = {}
    for start in range(min(len(syllables), PINYIN_STARTS)):
        rest = syllables[start : start + LONGEST_PINYIN]
        found["".join(rest)[:LONGEST_PINYIN]] = None
        found["".join([syllable[0] for syllable in rest])] = None
    return tuple(found)


def _syllables(runs: str) -> list[str]:
    """Read Chinese aloud: the longest known word first, a lone character in its commonest way."""
    words, characters = _readings()
    found: list[str] = []
    at = 0
    while at < len(runs):
        for length in range(LONGEST_READ_TOGETHER, 1, -1):
            if reading := words.get(runs[at : at + length]):
                found += [_plain_syllable(syllable[0]) for syllable in reading]
                at += length
                break
        else:
            if ways := characters.get(ord(runs[at])):
                found.append(_plain_syllable(ways.split(",")[0]))
            at += 1
    return [syllable for syllable in found if syllable]


@lru_cache(maxsize=4096)
def _plain_syllable(syllable: str) -> str:
    # Keyboards have no ü: 绿 is typed lv.
    apart = unicodedata.normalize("NFD", syllable).replace("u\u0308", "v")
    return "".join(ch for ch in apart if ch.isascii() and ch.isalpha())


@lru_cache(maxsize=1)
def _readings() -> tuple[dict[str, list[list[str]]], dict[int, str]]:
    # The tables take many megabytes; only who writes documents needs them.
    from pypinyin.constants import PHRASES_DICT, PINYIN_DICT

    again = {word: [["chong"], [rest]] for word, rest in AGAIN.items()}
    return {**PHRASES_DICT, **again}, PINYIN_DICT


def epoch(moment: datetime | None) -> int:
    """Return whole seconds since 1970, never negative."""
    return max(0, int(moment.timestamp())) if moment else 0


def build_hit(
    document_id: str,
    stored: Mapping[str, Any],
    *,
    score: float,
    marker: Marker | None,
    is_staff: bool,
    matched_fields: Iterable[MatchedField] = (),
    is_pinned: bool = False,
) -> Hit:
    """Make a hit of what was stored.  Internal text is looked at for staff alone."""
    title = str(stored.get("title", ""))
    title_html = marker.title(title) if marker else escape(title)
    snippets: tuple[Markup, ...] = ()
    section = None
    in_internal = False
    file = ""
    seen: frozenset[str] = frozenset()
    if marker is not None:
        found = marker.snippets(_parts(stored, is_staff=is_staff))
        snippets = found.passages
        in_internal = found.in_internal
        file = found.file
        seen = frozenset(marker.seen_here)
        if found.section is not None:
            data = stored["sections"][found.section]
            section = MatchedSection(anchor=data.get("anchor", ""), heading=data.get("heading", ""))
    return Hit(
        id=document_id,
        kind=_first(stored.get("kind", "")),
        title=title,
        title_html=title_html,
        snippets=snippets,
        url=stored.get("url", ""),
        score=score,
        source=_first(stored.get("source", "")),
        external_id=stored.get("external_id", ""),
        language=_first(stored.get("language", "")),
        status=_first(stored.get("status", "")),
        categories=tuple(stored.get("category", ())),
        products=tuple(stored.get("product", ())),
        tags=tuple(stored.get("tag", ())),
        identifiers=tuple(stored.get("identifiers", ())),
        created_at=_read(stored.get("created_at")),
        updated_at=_read(stored.get("updated_at")),
        published_at=_read(stored.get("published_at")),
        section=section,
        in_internal=in_internal,
        is_pinned=is_pinned,
        file=file,
        seen_terms=seen,
        matched_fields=tuple(matched_fields),
    )


def searched_text(stored: Mapping[str, Any], *, is_staff: bool) -> str:
    """Return a stored document's words in one text, as far as this kind of reader may find them."""
    title = str(stored.get("title", ""))
    return "\n".join([title, *(part.text for part in _parts(stored, is_staff=is_staff))])


def _parts(stored: Mapping[str, Any], *, is_staff: bool) -> list[Part]:
    parts = [Part(str(stored[name])) for name in ("lead", "body") if stored.get(name)]
    parts += [Part(str(s.get("text", "")), number) for number, s in enumerate(stored.get("sections", ()))]
    for file in stored.get("attachments", ()):
        name = str(file.get("name", ""))
        parts += [Part(str(file.get("text", "")), file=name), Part(name, file=name)]
    if is_staff and stored.get("internal"):
        parts.append(Part(str(stored["internal"]), None, is_internal=True))
    return parts


def _first(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else (value[0] if value else "")


def _written(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def _read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
