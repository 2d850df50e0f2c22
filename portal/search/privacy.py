"""What of a search may be kept: never what tells who somebody is.

Addresses, numbers of phones, cards and accounts, and whole texts that were pasted in are put out of sight before a word
is written anywhere.  Whoever asks not to be followed, by their browser or in their account, is not.
"""

import re
import unicodedata
from typing import Protocol

LONGEST_TYPED = 200
"""What is longer was pasted: an e-mail, a log.  Such texts name people."""
LEAST_DIGITS = 7
LEAST_DIGITS_IN_A_WORD = 9
HIDDEN = "⟨"
"""What every mark begins with; no analysis takes it for a word."""
ADDRESS, NUMBER, LONG_TEXT = "⟨e-mail⟩", "⟨number⟩", "⟨long text⟩"

_ADDRESS = re.compile(r"[^\s@<>(),;:\"⟨⟩]{1,64}@[^\s@<>(),;:\"⟨⟩]{1,255}")
_DIGITS = re.compile(r"(?<![\w.])(?<![A-Za-z]-)[+(]{0,2}\d(?:[\s\-./()]{0,2}\d)*(?![\w])")
_DIGITS_IN_A_WORD = re.compile(rf"\d{{{LEAST_DIGITS_IN_A_WORD},}}[xX]?")
_IS_NO_PERSON = re.compile(
    r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?|\d{4}[-./]\d{1,2}[-./]\d{1,2}|(?:19|20)\d\d\s?[-/]\s?(?:19|20)\d\d"
)


def mask(text: str) -> str:
    """Return the text with what could tell a person put out of sight; a pasted text vanishes whole."""
    if len(text) > LONGEST_TYPED:
        return LONG_TEXT
    if not text.isascii():
        # Full-width digits and signs are read by people as the plain ones.
        text = unicodedata.normalize("NFKC", text)
    text = _ADDRESS.sub(ADDRESS, text)
    text = _DIGITS.sub(_number, text)
    return _DIGITS_IN_A_WORD.sub(NUMBER, text)


def is_masked(text: str) -> bool:
    """Something was put out of sight: the text cannot be searched again."""
    return HIDDEN in text


class Headers(Protocol):
    """What a browser sent along."""

    def get(self, key: str) -> str | None:
        """Return a header."""


def is_followed(headers: Headers) -> bool:
    """Say whether the browser lets its searches be counted: neither Do Not Track nor Global Privacy Control is on."""
    return headers.get("DNT") != "1" and headers.get("Sec-GPC") != "1"


def _number(found: re.Match[str]) -> str:
    text = found[0]
    if sum(character.isdigit() for character in text) < LEAST_DIGITS or _IS_NO_PERSON.fullmatch(text):
        return text
    return NUMBER
