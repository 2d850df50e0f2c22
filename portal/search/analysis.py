"""How text becomes terms: one chain, kept equal to the one that `opensearch/settings.json` describes to OpenSearch.

Fold (compatibility forms, accents, Traditional to Simplified) → cut words as UAX #29 does → lower case → possessive →
Chinese, Japanese and Korean in pairs of characters → English stems.  The chain runs over every document of a rebuild,
so it has a fast way for what nearly all text is made of and an exact way, character class by character class, for the
rest; a test holds both equal, and the whole equal to OpenSearch's own tokens.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from pathlib import Path
from threading import Lock

import regex
import Stemmer

TABLES = Path(__file__).resolve().parents[2] / "opensearch"
LONGEST_WORD = 255
STEMS_KEPT = 200_000

HAN = "\u2e80-\u2fd5\u3007\u3021-\u3029\u3038-\u303a\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9\U00020000-\U0003ffff"
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
LETTER = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
# What ends a word and is nothing itself, beside ASCII; all that is in none of these classes goes the exact way.
APART = (
    "\u0080-\u009f\u00a0-\u00a8\u00ab\u00ac\u00af-\u00b1\u00b4\u00b6\u00bb\u00bf\u00d7\u00f7\u2000-\u200a\u2010-\u2017"
    "\u201c-\u2023\u2028\u2029\u2030-\u203b\u20a0-\u20bf\u2190-\u2193\u2200-\u22ff\u2500-\u25a9\u25cb-\u25fa"
    "\u3000-\u3004\u3008-\u3020\u30fb\ufffd"
)
_ODD_CHARACTER = rf"[^\x00-\x7f{LETTER}{HAN}{KANA}{APART}\u00b7]|_[{KANA}]|[{KANA}]_"
_ODD = re.compile(_ODD_CHARACTER)
_ODD_PIECE = re.compile(rf"\S*(?:{_ODD_CHARACTER})\S*")
_ASCII_WORD = re.compile(r"[A-Za-z0-9_]+(?:(?:(?<=[A-Za-z])[':.](?=[A-Za-z])|(?<=[0-9])['.,;](?=[0-9]))[A-Za-z0-9_]+)*")
_FAST_WORD = re.compile(
    rf"[{LETTER}0-9_]+(?:(?:(?<=[{LETTER}])[':.\u00b7](?=[{LETTER}])|(?<=[0-9])['.,;](?=[0-9]))[{LETTER}0-9_]+)*"
    rf"|[{HAN}{KANA}]+"
)

_X = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*"
_AL = rf"(?:[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]{_X})"
_NU = rf"(?:\p{{WB=Numeric}}{_X})"
_KA = rf"(?:\p{{WB=Katakana}}{_X})"
_EX = rf"(?:\p{{WB=ExtendNumLet}}{_X})"
_MID_LETTER = rf"(?:[\p{{WB=MidLetter}}\p{{WB=MidNumLet}}\p{{WB=Single_Quote}}]{_X})"
_MID_NUMBER = rf"(?:[\p{{WB=MidNum}}\p{{WB=MidNumLet}}\p{{WB=Single_Quote}}]{_X})"
_WORD = rf"(?:{_KA}+|(?:{_AL}(?:{_MID_LETTER}?{_AL})*|{_NU}(?:{_MID_NUMBER}?{_NU})*)+)"
# Lucene's pictographs are those of Unicode 12; later versions took some away.
_PICTOGRAPH = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u2388\u23cf\u23e9-\u23f3\u23f8-\u23fa"
    "\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2714"
    "\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763-\u2767\u2795-\u2797\u27a1"
    "\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f0ff"
    "\U0001f10d-\U0001f10f\U0001f12f\U0001f16c-\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001f19a"
    "\U0001f1ad-\U0001f1e5\U0001f201-\U0001f20f\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f23c-\U0001f23f"
    "\U0001f249-\U0001f3fa\U0001f400-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f774-\U0001f77f"
    "\U0001f7d5-\U0001f7ff\U0001f80c-\U0001f80f\U0001f848-\U0001f84f\U0001f85a-\U0001f85f\U0001f888-\U0001f88f"
    "\U0001f8ae-\U0001f8ff\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001fffd]"
)
_EMOJI = (
    r"(?:[0-9#*]\uFE0F?\u20E3|[\U0001F1E6-\U0001F1FF]{2}"
    rf"|{_PICTOGRAPH}\p{{M}}*\uFE0F?\p{{Emoji_Modifier}}?"
    rf"(?:\u200D{_PICTOGRAPH}\uFE0F?\p{{Emoji_Modifier}}?)*)"
)
_EXACT_WORD = regex.compile(
    rf"{_EMOJI}|{_EX}*{_WORD}(?:{_EX}+{_WORD})*{_EX}*|[\p{{Han}}\p{{Hiragana}}]{_X}|\p{{Line_Break=SA}}+", regex.V1
)
PAIRED = re.compile(rf"[{HAN}{KANA}{HANGUL}]")
_PAIRED_RUN = re.compile(rf"[{HAN}{KANA}{HANGUL}]+")
_HAN = re.compile(rf"[{HAN}\u3041-\u3096\u309d-\u309f]")
_HAN_RUN = re.compile(rf"[{HAN}]+")

# A code is kept whole beside its parts: something with a digit and a letter or an inner sign, or a name such as C++.
_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?:\.[A-Za-z]{2,}|[A-Za-z]\+\+|[A-Za-z]#|[A-Za-z0-9]+(?:[-_./:@\\+]{1,2}[A-Za-z0-9]+)*)"
    r"(?![A-Za-z0-9+#])"
)
_DIGIT = re.compile(r"[0-9]")
_DIGITS = re.compile(r"[0-9]{5,}")
# What a longer code holds between underscores and points: 4.2.17 in tool_4.2.17.bin, lx200 in setup.lx200.exe.
_PIECES = re.compile(r"[0-9]+(?:\.[0-9]+)+|(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{3,}")
_SIGNS = re.compile(r"[^a-z0-9]+")
LONGEST_CODE = 64


@dataclass(frozen=True, slots=True)
class _Folding:
    """The rules of `fold.txt`: single characters for `str.translate`, longer keys as one expression."""

    single: dict[int, str]
    longer: dict[str, str]
    expression: re.Pattern[str]
    uneven: re.Pattern[str]


@lru_cache(maxsize=1)
def _folding() -> _Folding:
    single: dict[int, str] = {}
    longer: dict[str, str] = {}
    for line in (TABLES / "fold.txt").read_text(encoding="utf-8").splitlines():
        key, value = (_unescaped(part) for part in line.split("=>"))
        if len(key) == 1:
            single[ord(key)] = value
        else:
            longer[key] = value
    by_first: dict[str, list[str]] = {}
    for key in longer:
        by_first.setdefault(key[0], []).append(key[1:])
    branches = (
        re.escape(first) + "(?:" + "|".join(map(re.escape, sorted(rest, key=len, reverse=True))) + ")"
        for first, rest in by_first.items()
    )
    uneven = "".join(re.escape(chr(code)) for code, value in single.items() if len(value) != 1)
    return _Folding(single, longer, re.compile("|".join(branches)), re.compile(f"[{uneven}]"))


def _unescaped(text: str) -> str:
    if "\\u" not in text:
        return text
    units = re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


def fold(text: str) -> str:
    """Write every character in the one form that is indexed; case is kept."""
    if text.isascii():
        return text
    rules = _folding()
    pieces = []
    done = 0
    for match in rules.expression.finditer(text):
        pieces.append(text[done : match.start()].translate(rules.single))
        pieces.append(rules.longer[match[0]])
        done = match.end()
    if not pieces:
        return text.translate(rules.single)
    pieces.append(text[done:].translate(rules.single))
    return "".join(pieces)


def fold_with_offsets(text: str) -> tuple[str, list[int] | None]:
    """Fold, and return for each folded character where its origin begins, with the end at last; None where all stay."""
    if text.isascii():
        return text, None
    rules = _folding()
    if rules.expression.search(text) is None and rules.uneven.search(text) is None:
        return text.translate(rules.single), None
    folded: list[str] = []
    origins: list[int] = []
    done = 0

    def take(start: int, end: int) -> None:
        for at in range(start, end):
            value = rules.single.get(ord(text[at]), text[at])
            folded.append(value)
            origins.extend([at] * len(value))

    for match in rules.expression.finditer(text):
        take(done, match.start())
        value = rules.longer[match[0]]
        folded.append(value)
        # A shorter word keeps its characters' places, and its last one reaches to the end of the original.
        origins.extend(min(match.start() + i, match.end() - 1) for i in range(len(value)))
        done = match.end()
    take(done, len(text))
    origins.append(len(text))
    return "".join(folded), origins


class _Stems(dict[str, str]):
    """Lower-case word → stem, filled as words come; emptied when a flood of made-up words has filled it.

    PyStemmer's object is not safe for threads, so new words are stemmed under a lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stemmer = Stemmer.Stemmer("english", 0)
        self._lock = Lock()

    def __missing__(self, word: str) -> str:
        with self._lock:
            if len(self) > STEMS_KEPT:
                self.clear()
            plain = _unpossessive(word)
            # Lucene's Snowball is one rule newer here than the pinned one: "added" and "ebbing" keep both letters.
            doubled = _DOUBLED.fullmatch(plain)
            stem: str = doubled[1] if doubled else self._stemmer.stemWord(plain)
            self[word] = stem
            return stem


_DOUBLED = re.compile(r"([aeo](?:bb|dd|ff|gg|mm|nn|pp|rr|tt))(?:ed|edly|ing|ingly)")
_STEMS = _Stems()


def stem(word: str) -> str:
    """Return the stem of one lower-case word."""
    return _STEMS[word]


def _unpossessive(word: str) -> str:
    return word[:-2] if word.endswith("'s") and len(word) >= 2 else word


def is_run(word: str) -> bool:
    """Say whether a cut word is a run of Chinese, Japanese or Korean characters, which is sought in pairs."""
    return _PAIRED_RUN.fullmatch(word) is not None


def cut(folded: str) -> list[str]:
    """Cut folded text into words as they stand; touching Chinese and Japanese characters stay together as one run."""
    if folded.isascii():
        words = _ASCII_WORD.findall(folded)
    elif _ODD.search(folded) is None:
        words = _FAST_WORD.findall(folded)
    else:
        words = list(_cut_odd(folded))
    if "_" in folded:
        words = [word for word in words if word.strip("_")]
    if words and len(max(words, key=len)) > LONGEST_WORD:
        words = list(_shortened(words))
    return words


def _cut_odd(folded: str) -> Iterator[str]:
    done = 0
    for match in _ODD_PIECE.finditer(folded):
        yield from _FAST_WORD.findall(folded, done, match.start())
        yield from _cut_exactly(match[0])
        done = match.end()
    yield from _FAST_WORD.findall(folded, done)


def _cut_exactly(text: str) -> Iterator[str]:
    run = ""
    end = -1
    for match in _EXACT_WORD.finditer(text):
        word = match[0]
        in_pairs = is_run(word)
        if run and (not in_pairs or match.start() != end):
            yield run
            run = ""
        if in_pairs:
            run += word
            end = match.end()
        else:
            yield word
    if run:
        yield run


def _shortened(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        if len(word) <= LONGEST_WORD or is_run(word):
            yield word
        else:
            yield from (word[at : at + LONGEST_WORD] for at in range(0, len(word), LONGEST_WORD))


def terms(text: str) -> list[str]:
    """Return the terms of a text in order: English stems, and pairs of Chinese, Japanese or Korean characters."""
    return terms_of(fold(text))


def terms_of(folded: str) -> list[str]:
    """Return the terms of a text that is folded already."""
    return _terms_of_words(cut(folded.lower()), is_ascii=folded.isascii())


def _terms_of_words(found: list[str], *, is_ascii: bool) -> list[str]:
    if is_ascii:
        terms = list(map(_STEMS.__getitem__, found))
        return [term for term in terms if term] if "" in terms else terms
    terms = []
    for word in found:
        if word.isascii() or not is_run(word):
            if term := _STEMS[word]:
                terms.append(term)
        elif len(word) == 1:
            terms.append(word)
        else:
            terms.extend(map(add, word, word[1:]))
    return terms


def words(text: str) -> list[str]:
    """Return the words of a text as they are written, without Chinese and Japanese."""
    return words_of(fold(text))


def words_of(folded: str) -> list[str]:
    """Return the words of a text that is folded already, as `words` does."""
    return _plain_words(cut(folded.lower()), folded, is_ascii=folded.isascii())


def _plain_words(found: list[str], folded: str, *, is_ascii: bool) -> list[str]:
    if not is_ascii:
        found = [word for word in found if word.isascii() or not is_run(word)]
    if "'" in folded:
        found = [plain for word in found if (plain := _unpossessive(word))]
    return found


def terms_and_words_of(folded: str) -> tuple[list[str], list[str]]:
    """Return `terms_of` and `words_of` of a folded text for the price of one."""
    found = cut(folded.lower())
    # Curly quotes and dashes alone cut no word differently.
    if PAIRED.search(folded) is None:
        return _terms_of_words(found, is_ascii=True), _plain_words(found, folded, is_ascii=True)
    return _terms_of_words(found, is_ascii=False), _plain_words(found, folded, is_ascii=False)


def characters(text: str) -> list[str]:
    """Return the Chinese and Japanese characters of a text in order, in Simplified form."""
    return characters_of(fold(text))


def characters_of(folded: str) -> list[str]:
    """Return the characters of a text that is folded already, as `characters` does."""
    return [] if folded.isascii() else _HAN.findall(folded)


def han_runs(folded: str) -> list[str]:
    """Return the runs of Chinese characters of a folded text."""
    return [] if folded.isascii() else _HAN_RUN.findall(folded)


def codes(text: str) -> list[str]:
    """Return what looks like a code, whole and in small letters: ora-00600, kb3089230, 10.0.0.1, c++, .net."""
    return codes_of(fold(text))


def codes_of(folded: str) -> list[str]:
    """Return the codes of a text that is folded already, as `codes` does."""
    found: dict[str, None] = {}
    # Most words are letters alone and need no second look.
    candidates = " ".join([word for word in folded.split() if not (word.isascii() and word.isalpha())])
    for code in _CODE.findall(candidates):
        if not code.isalpha() and len(code) <= LONGEST_CODE and _is_code(code):
            for form in code_forms(code):
                found[form] = None
    return list(found)


def _is_code(code: str) -> bool:
    if _DIGIT.search(code) is None:
        return code.startswith(".") or code.endswith(("+", "#"))
    return len(code) >= 5 or not code.isdigit()


def code_forms(code: str) -> list[str]:
    """Return a code as people may write it: whole, without signs, its pieces and its long number alone."""
    whole = fold(code).lower()
    forms = [whole]
    bare = _SIGNS.sub("", whole)
    if bare != whole and _DIGIT.search(bare) and not bare.isdigit():
        forms.append(bare)
    if "_" in whole or "." in whole:
        forms += _PIECES.findall(whole)
    forms += _DIGITS.findall(whole)
    return list(dict.fromkeys(forms))
