"""Did you mean …?  Words that this viewer can find nowhere, and their nearest neighbours among those they can.

Engines answer two questions, each within the viewer's rights: is a term in any document, and which documents hold words
near a given one.  So a correction can tell nobody about a word that stands only where they may not read.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from rapidfuzz.distance import OSA

from portal.search import analysis
from portal.search.query import Query, TypedWord

LOOKED_AT = 30
MOST_WORDS = 12
MOST_TERMS = 60
"""A line of Chinese is one word of many terms; who types that many made no slip of the hand."""
MOST_CORRECTED = 3
SHORTEST = 4
SHORTEST_FOR_TWO = 7
SHORTEST_HALF = 3
LONGEST = 30


def missing_words(
    query: Query, readable: Callable[[Collection[str]], Collection[str]], seen: Collection[str] = ()
) -> list[TypedWord]:
    """Return the typed words of which no term stands in a readable document.

    `readable` tells which of some terms do; `seen` are terms that the hits have shown already.
    """
    if len(query.typed) > MOST_WORDS or sum(len(word.terms) for word in query.typed) > MOST_TERMS:
        return []
    open_words = [word for word in query.typed if not any(term in seen for term in word.terms)]
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


def corrected(
    text: str,
    missing: Sequence[TypedWord],
    texts_near: Callable[[str, int], Iterable[str]],
    readable: Callable[[Collection[str]], Collection[str]],
) -> str | None:
    """Return the text with misspelt words replaced; None when there is nothing to mend or nothing near enough.

    `texts_near(word, distance)` gives texts, readable to whoever asks, that hold a word at most so many edits away;
    `readable` tells which of some terms stand in a readable document.
    """
    mended = text
    for word in missing[:MOST_CORRECTED]:
        plain = word.text.lower()
        if not (SHORTEST <= len(plain) <= LONGEST and plain.isascii() and plain.isalpha()):
            continue
        better = _nearest(plain, texts_near) or _apart(plain, readable)
        if better is not None:
            mended = mended.replace(word.text, better)
    return mended if mended != text else None


def _apart(word: str, readable: Callable[[Collection[str]], Collection[str]]) -> str | None:
    """Return a word that was written together as two readable ones: heatpump, heat pump."""
    halves = [(word[:at], word[at:]) for at in range(SHORTEST_HALF, len(word) - SHORTEST_HALF + 1)]
    known = set(readable(list(dict.fromkeys(analysis.stem(half) for pair in halves for half in pair))))
    both = [(a, b) for a, b in halves if {analysis.stem(a), analysis.stem(b)} <= known]
    both.sort(key=lambda pair: abs(len(pair[0]) - len(pair[1])))
    return " ".join(both[0]) if both else None


def _nearest(word: str, texts_near: Callable[[str, int], Iterable[str]]) -> str | None:
    most = 2 if len(word) >= SHORTEST_FOR_TWO else 1
    for distance in range(1, most + 1):
        seen: Counter[str] = Counter()
        for text in texts_near(word, distance):
            seen.update({w for w in analysis.words(text) if OSA.distance(w, word, score_cutoff=distance) <= distance})
        candidates = [w for w in seen if w.isalpha()]
        if candidates:
            # A wrong first letter is the rarest slip.
            return min(candidates, key=lambda w: (w[0] != word[0], -seen[w], w))
    return None
