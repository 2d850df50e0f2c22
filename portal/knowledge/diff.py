"""Two versions side by side: pure, line by line, with the changed words marked.  Escaping is the template's."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

MOST_LINES = 4_000
LONGEST_MARKED_LINE = 600
MOST_MARKED_LINES = 300
CONTEXT = 3
_WORD = re.compile(r"[^\W\u3000-\u9fff]+|\s+|.", re.DOTALL)

Piece = tuple[str, bool]
"""Some text, and whether it is only on this side."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of both versions: `same`, `changed`, `removed`, `added`, or `skipped` for unchanged lines left out."""

    kind: str
    old: tuple[Piece, ...] = ()
    new: tuple[Piece, ...] = ()
    old_number: int | None = None
    new_number: int | None = None
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that differs."""

    field: str
    rows: tuple[Row, ...]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], fields: tuple[str, ...]) -> list[FieldDifference]:
    """Return the fields that differ, in order."""
    return [
        FieldDifference(field, tuple(compare(text_of(old.get(field)), text_of(new.get(field)))))
        for field in fields
        if text_of(old.get(field)) != text_of(new.get(field))
    ]


def text_of(value: Any) -> str:
    """Return a field's value as comparable text; lists have a line for each item."""
    if value is None or value is False:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return str(value)


def compare(old: str, new: str) -> Iterator[Row]:
    """Yield the rows of two texts; long unchanged stretches are left out, and what goes beyond `MOST_LINES`, too."""
    before, after = old.split("\n")[:MOST_LINES], new.split("\n")[:MOST_LINES]
    marked = 0
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after).get_opcodes():
        if tag == "equal":
            yield from _unchanged(before, i1, i2, j1, len(before))
        elif tag == "replace":
            # Comparing words costs the square of a line's length: it ends where nobody would read on.
            yield from _replaced(before[i1:i2], after[j1:j2], i1, j1, marks_words=marked < MOST_MARKED_LINES)
            marked += i2 - i1
        else:
            for n in range(i1, i2):
                yield Row("removed", old=((before[n], True),), old_number=n + 1)
            for n in range(j1, j2):
                yield Row("added", new=((after[n], True),), new_number=n + 1)


def _unchanged(lines: list[str], start: int, end: int, offset: int, length: int) -> Iterator[Row]:
    head = CONTEXT if start else 0
    tail = CONTEXT if end < length else 0
    hidden = end - start - head - tail
    n = start
    while n < end:
        if hidden > 1 and n == start + head:
            yield Row("skipped", skipped=hidden)
            n += hidden
            continue
        piece = ((lines[n], False),)
        yield Row("same", piece, piece, n + 1, offset + n - start + 1)
        n += 1


def _replaced(
    before: list[str], after: list[str], old_start: int, new_start: int, *, marks_words: bool
) -> Iterator[Row]:
    for n in range(max(len(before), len(after))):
        if n >= len(after):
            yield Row("removed", old=((before[n], True),), old_number=old_start + n + 1)
        elif n >= len(before):
            yield Row("added", new=((after[n], True),), new_number=new_start + n + 1)
        else:
            old, new = _words(before[n], after[n]) if marks_words else (((before[n], True),), ((after[n], True),))
            yield Row("changed", old, new, old_start + n + 1, new_start + n + 1)


def _words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Mark the words that differ within two lines; Chinese is compared by characters."""
    if max(len(old), len(new)) > LONGEST_MARKED_LINE:
        return ((old, True),), ((new, True),)
    before, after = _WORD.findall(old), _WORD.findall(new)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if i2 > i1:
            left.append(("".join(before[i1:i2]), tag != "equal"))
        if j2 > j1:
            right.append(("".join(after[j1:j2]), tag != "equal"))
    return tuple(left), tuple(right)
