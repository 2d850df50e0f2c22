"""What people's words mean.

Four things have a meaning: "quotes", -word, and `kind:` `tag:` `product:` `id:`.  Everything else is words.  In a text
too long to be typed as a query (a pasted e-mail, a log) only words count: a quote or a dash in it is not meant for us.
A whole sentence in quotes is a quotation: its words are sought, not their order.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

from portal.search import analysis
from portal.search.document import Kind
from portal.search.wording import ASKING, FUNCTION_WORDS, PARTICLES, WEAK_WORDS

LONGEST_OPERATED = 200
LONGEST_PHRASE = 8
MOST_TERMS = 120
MOST_PAIRS = 40
MOST_JOINED = 8
SHORTEST_PINYIN, LONGEST_PINYIN = 3, 24
MOST_CHARACTERS = 120
MOST_OPERATORS = 20
LONGEST_LIKENESS = 2_000
QUOTES = {'"': '"', "＂": "＂", "“": "”", "„": "“", "「": "」"}
OPERATORS = ("kind", "tag", "product", "id")

_OPERATOR = re.compile(r"(kind|tag|product|id)[:：](\"[^\"]*\"|\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TypedWord:
    """A word as it was typed, and the terms it is sought by."""

    text: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """An operator as it stands in the text: `text[start:end]`."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The parts of a query, analysed; engines build their queries from these alone.

    `terms` are stems and character pairs without function words, each once; `words` the same as written, without
    Chinese; those of them that are in `weak` tell little apart.  `typed` are the content words for messages to people.
    `pairs` are neighbouring Latin terms of the whole text with at least one content word, `joined` the same words
    written as one (log in, login), `pinyin` the whole text as one where it may be Chinese in Latin letters.
    `characters` are its Chinese and Japanese characters.  `phrases` must stand as they are, `negations` must not; both
    are terms in order.  `sequence` is the whole text's terms in order, for synonyms.  `marks` are the operators in it.
    """

    text: str
    terms: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    weak: frozenset[str] = frozenset()
    typed: tuple[TypedWord, ...] = ()
    sequence: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    joined: tuple[str, ...] = ()
    pinyin: str = ""
    characters: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    phrases: tuple[tuple[str, ...], ...] = ()
    negations: tuple[tuple[str, ...], ...] = ()
    operators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()

    @property
    def ranks(self) -> bool:
        """There are words by which hits can be ranked."""
        return bool(self.terms or self.phrases or self.codes)

    @property
    def may_loosen(self) -> bool:
        """Its Chinese may be sought character by character, or it may be pinyin, when its words stand nowhere."""
        return bool(self.characters or self.pinyin) and not self.phrases

    @property
    def is_empty(self) -> bool:
        """Nothing was asked: browse."""
        return not (self.ranks or self.negations or self.operators)


@dataclass(slots=True)
class _Parts:
    plain: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    negations: list[str] = field(default_factory=list)
    operators: dict[str, list[str]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)


@lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """Read a text as a query.  Any text is one; nothing is an error."""
    parts = _Parts()
    if len(text) > LONGEST_OPERATED:
        parts.plain.append(text)
    else:
        _split(text, parts)
    return _analysed(text, parts)


def read_words(text: str) -> Query:
    """Read the beginning of a longer text as words alone, to find what is like it."""
    query = _analysed("", _Parts(plain=[text[:LONGEST_LIKENESS]]))
    return replace(query, pairs=(), joined=())


def _analysed(text: str, parts: _Parts) -> Query:
    plain = analysis.fold(" ".join(parts.plain))
    quoted = analysis.fold(" ".join(parts.phrases))
    words = [_Word(word) for word in analysis.cut(plain)]
    content = [word for word in _without_asking(words) if word.counts] or words
    phrases = [phrase for phrase in map(analysis.terms, parts.phrases) if phrase]
    scoring = [*(term for word in content for term in word.terms), *(term for phrase in phrases for term in phrase)]
    unlike = [word.plain for word in content if not word.is_east_asian and word.plain]
    characters = [ch for word in content if word.is_east_asian for ch in analysis.characters_of(word.text)]
    weak = frozenset(form for word in content if word.is_weak for form in (word.plain, *word.terms))
    return Query(
        text=text,
        terms=_distinct(scoring, MOST_TERMS),
        words=_distinct([*unlike, *analysis.words_of(quoted)], MOST_TERMS),
        weak=frozenset() if weak.issuperset(scoring) else weak,
        typed=tuple(TypedWord(w.text, tuple(w.terms)) for w in {w.text: w for w in content}.values() if w.terms),
        sequence=tuple(term for word in words for term in word.terms)[: 2 * MOST_TERMS],
        pairs=_pairs(words),
        joined=_joined(words),
        pinyin=_pinyin(words),
        characters=_distinct([*characters, *analysis.characters_of(quoted)], MOST_CHARACTERS),
        codes=_distinct(analysis.codes_of(f"{plain} {quoted}"), MOST_PAIRS),
        phrases=tuple(map(tuple, phrases)),
        negations=tuple(tuple(terms) for terms in map(analysis.terms, parts.negations) if terms),
        operators=MappingProxyType({name: tuple(dict.fromkeys(values)) for name, values in parts.operators.items()}),
        marks=tuple(parts.marks),
    )


class _Word:
    """One word of a query: as typed, as analysed, and whether it says what is sought."""

    __slots__ = ("counts", "is_east_asian", "is_weak", "plain", "terms", "text")

    def __init__(self, text: str) -> None:
        lower = text.lower()
        self.text = text
        self.terms = analysis.terms_of(text)
        self.is_east_asian = analysis.is_run(text)
        self.plain = lower.removesuffix("'s")
        # IT, US or WHO in capitals are names; a whole query in capitals is cleaned like any other by its stems' rarity.
        is_name = len(text) > 1 and text.isupper()
        self.counts = is_name or lower not in FUNCTION_WORDS
        self.is_weak = not is_name and lower in WEAK_WORDS


def _without_asking(words: Iterable[_Word]) -> Iterator[_Word]:
    """Take the words of asking out of Chinese; what stood between them stays apart."""
    for word in words:
        if word.is_east_asian and ASKING.search(word.text):
            yield from (_Word(piece) for piece in ASKING.split(word.text) if piece and piece not in PARTICLES)
        else:
            yield word


def _split(text: str, parts: _Parts) -> None:
    at = 0
    length = len(text)
    begins = True
    while at < length:
        character = text[at]
        if character.isspace():
            begins = True
            at += 1
            continue
        negated = begins and character == "-" and at + 1 < length and _may_follow_minus(text[at + 1])
        start = at + 1 if negated else at
        if (closing := QUOTES.get(text[start])) and (end := text.find(closing, start + 1)) > start:
            quoted = text[start + 1 : end]
            is_phrase = len(analysis.cut(analysis.fold(quoted))) <= LONGEST_PHRASE
            (parts.negations if negated else parts.phrases if is_phrase else parts.plain).append(quoted)
            at = end + 1
            begins = True
            continue
        if begins and not negated and (end := _take_operator(text, at, parts)):
            at = end
            continue
        end = start + 1
        while end < length and not text[end].isspace() and text[end] not in QUOTES:
            end += 1
        (parts.negations if negated else parts.plain).append(text[start:end])
        begins = False
        at = end


def _may_follow_minus(character: str) -> bool:
    # An error number is written with its sign: -1073741819 is a number to find, not one to leave out.
    return character in QUOTES or character.isalpha()


def _take_operator(text: str, at: int, parts: _Parts) -> int:
    match = _OPERATOR.match(text, at)
    if match is None:
        return 0
    name = match[1].lower()
    value = match[2].strip('"').strip()
    if not value or len(parts.operators.get(name, ())) >= MOST_OPERATORS:
        return 0
    if name == "kind":
        value = value.lower().replace("-", "_")
        if value not in tuple(Kind):
            return 0
    elif name in ("tag", "product"):
        value = value.lower()
    parts.operators.setdefault(name, []).append(value)
    parts.marks.append(Mark(name, value, at, match.end()))
    return match.end()


def _pairs(words: list[_Word]) -> tuple[tuple[str, str], ...]:
    found = []
    for left, right in pairwise(words):
        if left.is_east_asian or right.is_east_asian or not (left.counts or right.counts):
            continue
        if left.terms and right.terms and left.terms != right.terms:
            found.append((left.terms[-1], right.terms[0]))
    return tuple(dict.fromkeys(found))[:MOST_PAIRS]


def _pinyin(words: list[_Word]) -> str:
    together = "".join(word.text for word in words).lower()
    fits = SHORTEST_PINYIN <= len(together) <= LONGEST_PINYIN
    return together if fits and together.isascii() and together.isalpha() else ""


def _joined(words: list[_Word]) -> tuple[str, ...]:
    if len(words) > MOST_JOINED:
        return ()
    found: list[str] = []
    for left, right in pairwise(words):
        together = left.text + right.text
        if (left.counts or right.counts) and together.isascii() and together.isalpha() and len(together) > 2:
            found += analysis.terms_of(together)
    return tuple(dict.fromkeys(found))


def _distinct(values: Iterable[str], most: int) -> tuple[str, ...]:
    return tuple(_first(dict.fromkeys(values), most))


def _first(values: Iterable[str], most: int) -> Iterator[str]:
    return (value for value, _ in zip(values, range(most), strict=False))
