"""Did you mean …?  Words that this viewer can find nowhere, and their nearest neighbours among those they can.

Engines answer two questions, each within the viewer's rights: is a term in any document, and which documents hold words
near a given one.  So a correction can tell nobody about a word that stands only where they may not read.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from rapidfuzz.distance import OSA

from portal.search import analysis
from portal.search.query import Query, TypedWord

LOOKED_AT = 30
MOST_WORDS = 12
MOST_TERMS = 60
"""A text of more words or terms is long; of its words only those are looked up that may be slips of the hand."""
MOST_IN_LONG = 40
MOST_NEAR = 12
"""So many unknown words are compared with others; in a long text the longest, which say most."""
MOST_CORRECTED = 3
SHORTEST = 4
SHORTEST_FOR_TWO = 7
SHORTEST_HALF = 3
LONGEST = 30
_TWICE = re.compile(r"(.)\1")


def missing_words(
    query: Query, readable: Callable[[Collection[str]], Collection[str]], seen: Collection[str] = ()
) -> list[TypedWord]:
    """Return the typed words of which no term stands in a readable document; of a long text, the longest.

    `readable` tells which of some terms do; `seen` are terms that the hits have shown already.
    """
    open_words = [word for word in query.typed if not any(term in seen for term in word.terms)]
    if _is_long(query):
        open_words = sorted(filter(_may_be_slip, open_words), key=lambda word: -len(word.text))[:MOST_IN_LONG]
    if not open_words:
        return []
    asked = dict.fromkeys([*(term for word in open_words for term in word.terms), *query.codes])
    found = readable(asked)
    has_code = any(code in found for code in query.codes)
    return [
        word
        for word in open_words
        if not any(term in found for term in word.terms)
        and not (has_code and any(character.isdigit() for character in word.text))
    ]


def _is_long(query: Query) -> bool:
    return len(query.typed) > MOST_WORDS or sum(len(word.terms) for word in query.typed) > MOST_TERMS


def _may_be_slip(word: TypedWord) -> bool:
    return SHORTEST <= len(word.text) <= LONGEST and word.text.isascii() and word.text.isalpha()


def named(query: Query, missing: Sequence[TypedWord]) -> tuple[str, ...]:
    """Return the missing words that people are told of: none of a long text, of which not all were looked up."""
    return () if _is_long(query) else tuple(word.text for word in missing)


def corrected(
    query: Query,
    missing: Sequence[TypedWord],
    texts_near: Callable[[str, int], Iterable[str]],
    readable: Callable[[Collection[str]], Collection[str]],
) -> str | None:
    """Return the text with misspelt words replaced; None when there is nothing to mend or nothing near enough.

    In a long text, where names and the like are unknown words, too, only sure slips are mended.
    `texts_near(word, distance)` gives texts, readable to whoever asks, that hold a word at most so many edits away;
    `readable` tells which of some terms stand in a readable document.
    """
    mended, is_long = query.text, _is_long(query)
    count = 0
    for word in list(filter(_may_be_slip, missing))[:MOST_NEAR]:
        plain = word.text.lower()
        most = 1 if is_long or len(plain) < SHORTEST_FOR_TWO else 2
        better = _nearest(plain, texts_near, most, is_strict=is_long) or (None if is_long else _apart(plain, readable))
        if better is not None:
            mended = re.sub(rf"(?<![A-Za-z0-9]){word.text}(?![A-Za-z0-9])", better, mended)
            count += 1
        if count == MOST_CORRECTED:
            break
    return mended if mended != query.text else None


def _apart(word: str, readable: Callable[[Collection[str]], Collection[str]]) -> str | None:
    """Return a word that was written together as two readable ones: heatpump, heat pump."""
    halves = [(word[:at], word[at:]) for at in range(SHORTEST_HALF, len(word) - SHORTEST_HALF + 1)]
    known = set(readable(list(dict.fromkeys(analysis.stem(half) for pair in halves for half in pair))))
    both = [(a, b) for a, b in halves if {analysis.stem(a), analysis.stem(b)} <= known]
    both.sort(key=lambda pair: abs(len(pair[0]) - len(pair[1])))
    return " ".join(both[0]) if both else None


def _nearest(word: str, texts_near: Callable[[str, int], Iterable[str]], most: int, *, is_strict: bool) -> str | None:
    for distance in range(1, most + 1):
        seen: Counter[str] = Counter()
        for text in texts_near(word, distance):
            seen.update({w for w in analysis.words(text) if OSA.distance(w, word, score_cutoff=distance) <= distance})
        candidates = [w for w in seen if w.isalpha() and (not is_strict or _is_sure(word, w))]
        if candidates:
            # A wrong first letter is the rarest slip.
            return min(candidates, key=lambda w: (w[0] != word[0], -seen[w], w))
    return None


def _is_sure(word: str, better: str) -> bool:
    """Say whether a word of a letter is a slip and not another word that no article holds.

    Letters that changed places, or stand once for twice, are a slip in any word; a letter that was left out in a long
    one.  Otherwise words are near to one another: who bought something did not bring it, who plays does not pay.
    """
    if word[0] != better[0]:
        return False
    if sorted(word) == sorted(better) or _TWICE.sub(r"\1", word) == _TWICE.sub(r"\1", better):
        return True
    return len(word) >= SHORTEST_FOR_TWO and len(better) > len(word)
