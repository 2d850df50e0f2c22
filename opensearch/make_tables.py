"""Make `fold.txt`, the one table by which both engines fold characters before they cut words.

    python -m opensearch.make_tables

It holds, in the rule syntax of OpenSearch's `mapping` character filter: compatibility forms (full-width, half-width,
ligatures, circled digits), Latin letters without their accents, and Traditional to Simplified Chinese from OpenCC's
tables.  Run it after an update of the development dependency OpenCC; its output is committed, and production needs
neither this module nor OpenCC.
"""

import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

TABLE = Path(__file__).with_name("fold.txt")

# Taiwan's words that are written alike in Simplified text but mean something else there would turn correct text wrong
# (驱动程序 into 驱动进程).  A word whose key has no Traditional-only character is taken only after this review.
_REVIEWED = """
程式 程式碼 滑鼠 光碟 硬碟 磁碟 巨集 使用者 演算法 非同步 游標 伺服器 位元 位元組 記憶體 印表機 行動電話 隨身碟 解析度
"""
REVIEWED = frozenset(_REVIEWED.split())
# 么 stands in every other Chinese sentence (什么); OpenCC's second reading 幺 must never replace it.
NEVER = frozenset("么")

# What normalisation leaves apart although people type one for the other.
HAND_MADE = {
    "’": "'", "‘": "'", "ʼ": "'", "‐": "-", "‑": "-", "‒": "-", "–": "-", "−": "-",
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ı": "i", "İ": "I", "Σ": "σ", "ς": "σ",
    "\u00ad": "", "\u2060": "", "\ufeff": "", "\u202f": " ",
}  # fmt: skip

LATIN = [range(0xC0, 0x250), range(0x1E00, 0x1F00)]
COMPOSED = [range(0x370, 0x530), range(0x3041, 0x3100)]
COMPATIBILITY = [
    range(0xA0, 0x600), range(0x1D00, 0x2000), range(0x2000, 0x2C80), range(0x2E80, 0x3400), range(0xA700, 0xA800),
    range(0xF900, 0xFB07), range(0xFE10, 0xFE70), range(0xFF00, 0xFFF0), range(0x2F800, 0x2FA1E),
]  # fmt: skip
COMBINING = range(0x300, 0x370)


def main() -> None:
    """Write the table."""
    rules = build_rules()
    lines = [f"{_escaped(key)}=>{_escaped(value)}\n" for key, value in sorted(rules.items())]
    TABLE.write_text("".join(lines), encoding="utf-8")
    sys.stdout.write(f"{TABLE.name}: {len(lines)} rules, {TABLE.stat().st_size} bytes\n")


def build_rules() -> dict[str, str]:
    """Return every rule, key to replacement; no key is the start of a chain: replacements are not folded again."""
    characters = dict(_accents_and_forms())
    chinese = {key: values[0] for key, values in _table("TSCharacters") if values[0] != key and key not in NEVER}
    characters = {key: "".join(chinese.get(ch, ch) for ch in value) for key, value in characters.items()}
    characters |= {key: value for key, value in chinese.items() if key not in characters}
    rules = {key: value for key, value in characters.items() if value != key}

    def simplified(text: str) -> str:
        return "".join(characters.get(ch, ch) for ch in text)

    phrases = {key: values[0] for key, values in _table("TSPhrases")}
    rules |= {key: value for key, value in phrases.items() if value != simplified(key) and not NEVER.intersection(key)}
    for key, values in _table("TWPhrasesRev"):
        if key == simplified(key) and key not in REVIEWED:
            continue
        value = phrases.get(values[0], simplified(values[0]))
        if value != simplified(key):
            rules[key] = value
    return rules


def _accents_and_forms() -> Iterator[tuple[str, str]]:
    yield from _compatibility_forms()
    yield from _joined()
    for code in (code for codes in LATIN for code in codes):
        if (plain := _without_accent(chr(code))) != chr(code):
            yield chr(code), plain
    for code in COMBINING:
        yield chr(code), ""
    yield from HAND_MADE.items()


def _compatibility_forms() -> Iterator[tuple[str, str]]:
    for code in (code for codes in COMPATIBILITY for code in codes):
        character = chr(code)
        folded = unicodedata.normalize("NFKC", character)
        if folded != character and not folded[0].isspace() and not unicodedata.combining(folded[0]):
            yield character, "".join(_without_accent(ch) for ch in folded)


def _joined() -> Iterator[tuple[str, str]]:
    """Letters and marks that are one letter: the dots of kana, Greek and Cyrillic letters with accents."""
    for code in (code for codes in COMPOSED for code in codes):
        apart = unicodedata.normalize("NFD", chr(code))
        if len(apart) > 1 and unicodedata.normalize("NFC", apart) == chr(code):
            yield apart, chr(code)
    for code in range(0xFF66, 0xFF9E):
        for mark in "\uff9e\uff9f":
            joined = unicodedata.normalize("NFKC", chr(code) + mark)
            if len(joined) == 1:
                yield chr(code) + mark, joined


def _without_accent(character: str) -> str:
    plain = "".join(ch for ch in unicodedata.normalize("NFD", character) if not unicodedata.combining(ch))
    return plain if plain.isascii() and plain.isalpha() else HAND_MADE.get(character, character)


def _table(name: str) -> Iterator[tuple[str, list[str]]]:
    import opencc

    home = Path(opencc.__file__).parent / "clib"
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "table.txt"
        subprocess.run(
            [
                str(home / "bin" / "opencc_dict"),
                *("-i", str(home / "share" / "opencc" / f"{name}.ocd2"), "-f", "ocd2"),
                *("-o", str(text), "-t", "text"),
            ],
            check=True,
        )
        for line in text.read_text(encoding="utf-8").splitlines():
            key, _, values = line.partition("\t")
            yield key, values.split()


def _escaped(text: str) -> str:
    return "".join(ch if ch.isalnum() and ord(ch) <= 0xFFFF else _code_units(ch) for ch in text)


def _code_units(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


if __name__ == "__main__":
    main()
