"""Titles while somebody types: how the typed text is read, and how what an engine found is ordered.

Engines only find candidates among readable titles; the order is made here, alike for both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from portal.access import Viewer
from portal.search import analysis, stored
from portal.search.guidance import Steering
from portal.search.highlight import mark_places
from portal.search.request import SearchRequest, clean_text
from portal.search.results import Suggestion
from portal.search.stages import SecondStage

CANDIDATES = 60
PINNED = 10.0
"""The score that keeps what is pinned among the candidates: more than any title gets."""
LONGEST_TYPED = 100
MOST_WORDS = 12
SHORTEST_PINYIN = 2


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed so far: whole words, the beginning of the last one, the beginning of a title, perhaps pinyin; and
    what editors decided for it.
    """

    words: tuple[str, ...]
    prefix: str
    start: str
    pinyin: str
    steering: Steering


def read_typed(viewer: Viewer, text: str, second: SecondStage) -> Typed | None:
    """Read what was typed; None when there is nothing to complete."""
    text = clean_text(text[:LONGEST_TYPED])
    words = stored.title_words(text)[:MOST_WORDS]
    if not words:
        return None
    prefix = ""
    if text[-1:].isalnum() and not analysis.is_run(words[-1]):
        prefix = words.pop()
    pinyin = "".join(text.lower().split())
    is_pinyin = len(pinyin) >= SHORTEST_PINYIN and pinyin.isascii() and pinyin.isalpha()
    steering = second.steering_of(SearchRequest(viewer=viewer, text=text))
    return Typed(tuple(dict.fromkeys(words)), prefix, stored.title_key(text), pinyin if is_pinyin else "", steering)


def rank(typed: Typed, found: Iterable[tuple[float, str, Mapping[str, Any]]], limit: int) -> tuple[Suggestion, ...]:
    """Order candidates: pins first, then titles that begin as typed, then by the engine's score, use and shortness."""
    places = {document_id: place for place, document_id in enumerate(typed.steering.pinned)}

    def order(candidate: tuple[float, str, Mapping[str, Any]]) -> tuple[int, bool, float, float, int, str]:
        score, document_id, data = candidate
        title = str(data.get("title", ""))
        key = stored.title_key(title)
        return (
            places.get(document_id, len(places)),
            not key.startswith(typed.start),
            -score - (2 if typed.start in key else 0),
            -float(data.get("popularity", 0.0)),
            len(title),
            document_id,
        )

    chosen: dict[str, Suggestion] = {}
    for _, document_id, data in sorted(found, key=order):
        title = str(data.get("title", ""))
        key = f"{data.get('kind', '')} {stored.title_key(title)}"
        if key not in chosen:
            chosen[key] = Suggestion(
                id=document_id,
                kind=str(data.get("kind", "")),
                title=title,
                title_html=_marked(typed, title),
                url=str(data.get("url", "")),
            )
        if len(chosen) >= limit:
            break
    return tuple(chosen.values())


def _marked(typed: Typed, title: str) -> Markup:
    folded, origins = analysis.fold_with_offsets(title)
    lower = folded.lower()
    places = []
    for word in (*typed.words, typed.prefix):
        at = lower.find(word) if word else -1
        while at > 0 and word.isascii() and lower[at - 1].isalnum() and lower[at - 1].isascii():
            at = lower.find(word, at + 1)
        if at >= 0:
            end = at + len(word)
            places.append((at, end) if origins is None else (origins[at], origins[end]))
    return mark_places(title, places) if places else escape(title)
