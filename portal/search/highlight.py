"""Titles and snippets with their matches marked: escaped first, marked after, here and nowhere else.

Both engines use it over the stored text, so that both mark alike and right for Chinese, where an engine's own
highlighter marks single pairs, and for Traditional text found by Simplified words, whose places shift.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

from portal.search import analysis
from portal.search.ranking import Field, Plan

SNIPPETS = 2
LONGEST_SCANNED = 60_000
MOST_PARTS = 60
WIDTH = 180
# As many Chinese characters fill a line as half of the Latin ones.
DENSE_WIDTH = 90
MOST_MATCHES = 400

_WORD_CHARACTER = re.compile(rf"[{analysis.LETTER}0-9_]")
_SPACES = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[.!?:;]\s|[。！？；：\n]")
_MARKED_FIELDS = frozenset({Field.ALL, Field.INTERNAL, Field.CHARACTERS})
_REST = rf"[{analysis.LETTER}0-9_]*(?:[':.,;\u00b7][{analysis.LETTER}0-9_]+)*"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a document that may be shown: its text and, for a section, which one."""

    text: str
    section: int | None = None
    is_internal: bool = False
    file: str = ""


@dataclass(frozen=True, slots=True)
class Snippets:
    """The best passages of a document, and the section, file and kind of text that the very best stands in."""

    passages: tuple[Markup, ...] = ()
    section: int | None = None
    in_internal: bool = False
    file: str = ""


class _Span(NamedTuple):
    start: int
    end: int
    term: str


class _Window(NamedTuple):
    score: float
    part: int
    start: int
    end: int


class Marker:
    """Finds the terms of a plan in texts; `seen` gathers those it met, `seen_here` those since the last title."""

    def __init__(self, plan: Plan) -> None:
        clauses = [c for c in plan.matching if c.field in _MARKED_FIELDS]
        clauses += [clause for group in plan.required for clause in group]
        terms = dict.fromkeys(term for clause in clauses for term in clause.terms)
        self._east_asian = [term for term in terms if not term.isascii() and _in_pairs(term)]
        self._stems = frozenset(terms).difference(self._east_asian)
        self._candidates = _candidates(self._stems)
        self.seen: set[str] = set()
        self.seen_here: set[str] = set()

    def title(self, title: str) -> Markup:
        """Return the whole title with its matches marked.  With it a document begins."""
        self.seen_here = set()
        return _marked(title, 0, len(title), _merged(self._spans(title)))

    def snippets(self, parts: Sequence[Part], most: int = SNIPPETS) -> Snippets:
        """Return the passages in which most different words stand; the first lines where none stands."""
        spans: list[list[_Span]] = []
        windows: list[_Window] = []
        left = LONGEST_SCANNED
        for number, part in enumerate(parts[:MOST_PARTS]):
            found = self._spans(part.text[:left]) if left > 0 else []
            left -= len(part.text)
            spans.append(found)
            windows.extend(_windows(part.text, number, found))
        windows.sort(key=lambda w: (-w.score, w.part, w.start))
        chosen: list[_Window] = []
        for window in windows:
            if all(w.part != window.part or window.end <= w.start or window.start >= w.end for w in chosen):
                chosen.append(window)
                if len(chosen) == most:
                    break
        if not chosen:
            shown = next((part for part in parts if not part.is_internal and part.text.strip()), None)
            return Snippets((_opening(shown.text),)) if shown else Snippets()
        best = parts[chosen[0].part]
        ordered = sorted(chosen, key=lambda w: (w.part, w.start))
        return Snippets(
            tuple(_passage(parts[w.part].text, w.start, w.end, spans[w.part]) for w in ordered),
            best.section,
            best.is_internal,
            best.file,
        )

    def _spans(self, text: str) -> list[_Span]:
        if not text or not (self._stems or self._east_asian):
            return []
        folded, origins = analysis.fold_with_offsets(text)
        lower = folded.lower()
        found: list[_Span] = []
        if self._candidates is not None:
            for match in self._candidates.finditer(lower):
                if match.start() and _WORD_CHARACTER.match(lower[match.start() - 1]):
                    continue
                found.extend(self._words_of(match))
                if len(found) > MOST_MATCHES:
                    break
        if not lower.isascii():
            for term in self._east_asian:
                at = lower.find(term)
                while at >= 0 and len(found) <= MOST_MATCHES:
                    found.append(_Span(at, at + len(term), term))
                    at = lower.find(term, at + 1)
        if origins is not None:
            found = [_Span(origins[s.start], max(origins[s.end], origins[s.start] + 1), s.term) for s in found]
        found.sort()
        self.seen_here.update(span.term for span in found)
        self.seen |= self.seen_here
        return found

    def _words_of(self, match: re.Match[str]) -> Iterable[_Span]:
        at, stretch = match.start(), match[0]
        # It may hold signs that do not join words ("1.5.x"): then it is cut as the index was cut.
        for word in (stretch,) if stretch.isascii() and stretch.isalnum() else analysis.cut(stretch):
            at = match.string.index(word, at)
            stem = analysis.stem(word)
            if stem in self._stems:
                yield _Span(at, at + len(word), stem)
            at += len(word)


def mark_places(text: str, places: Iterable[tuple[int, int]]) -> Markup:
    """Return a whole text, escaped, with these places marked; they may overlap and come in any order."""
    spans = sorted((_Span(start, end, "") for start, end in places), key=lambda s: s.start)
    return _marked(text, 0, len(text), _merged(spans))


def _in_pairs(term: str) -> bool:
    return analysis.is_run(term)


def _candidates(stems: frozenset[str]) -> re.Pattern[str] | None:
    # A stem's last letters may differ from the word's ("happi", "die" of dying): look for a beginning, then check.
    prefixes = sorted({re.escape(stem[: max(1, len(stem) - 2)]) for stem in stems}, key=len)
    return re.compile(f"(?:{'|'.join(prefixes)}){_REST}") if prefixes else None


def _windows(text: str, part: int, spans: list[_Span]) -> Iterable[_Window]:
    width = _width(text)
    last = len(spans)
    end = 0
    for first, span in enumerate(spans):
        while end < last and spans[end].start < span.start + width:
            end += 1
        inside = spans[first:end]
        different = {s.term for s in inside}
        yield _Window(len(different) + 0.1 * min(len(inside), 10), part, span.start, inside[-1].end)


def _width(text: str) -> int:
    return DENSE_WIDTH if len(analysis.PAIRED.findall(text[:300])) * 3 > len(text[:300]) else WIDTH


def _passage(text: str, start: int, end: int, spans: list[_Span]) -> Markup:
    spare = max(0, _width(text) - (end - start))
    first = _beginning(text, start, spare // 3)
    last = _ending(text, max(end, first + _width(text)), end)
    marked = _marked(text, first, last, _merged([s for s in spans if s.start >= first and s.end <= last]))
    before, after = "…" if first > 0 else "", "…" if last < len(text.rstrip()) else ""
    return before + marked + after


def _beginning(text: str, start: int, spare: int) -> int:
    earliest = max(0, start - spare)
    if earliest == 0:
        return 0
    ends = [match.end() for match in _SENTENCE_END.finditer(text, earliest, start)]
    if ends:
        return ends[-1] if ends[-1] <= start else earliest
    space = text.find(" ", earliest, start)
    return space + 1 if space >= 0 else earliest


def _ending(text: str, wanted: int, least: int) -> int:
    if wanted >= len(text):
        return len(text)
    space = text.rfind(" ", least, wanted)
    return space if space > least else wanted


def _opening(text: str) -> Markup:
    text = text.strip()
    width = _width(text)
    if len(text) <= width:
        return _plain(text)
    return _plain(text[: _ending(text, width, width // 2)]) + "…"


def _merged(spans: Iterable[_Span]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for span in spans:
        if merged and span.start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end))
        else:
            merged.append((span.start, span.end))
    return merged


def _marked(text: str, start: int, end: int, places: list[tuple[int, int]]) -> Markup:
    pieces: list[str] = []
    done = start
    for first, last in places:
        pieces += (_plain(text[done:first]), "<mark>", _plain(text[first:last]), "</mark>")
        done = last
    pieces.append(_plain(text[done:end]))
    return Markup("".join(pieces))  # noqa: S704  Every piece of text went through `_plain`.


def _plain(text: str) -> Markup:
    return escape(_SPACES.sub(" ", text))
