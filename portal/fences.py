"""Fenced code blocks where Python-Markdown does not look for them: in items of lists, in quotes, behind some blanks.

Its own extension knows fences in the first column only.  `Fences` runs before it: each block that stands further in is
moved to the first column and given to that extension, and what comes back, one line that stands for the block, is put
where the block stood.  A fence that is never closed stays what it was.
"""

import re

from markdown import Markdown
from markdown.preprocessors import Preprocessor
from markdown.util import STX

TAB = 4
MOST_STEPS_A_LINE = 10
"""How often a line may be looked at before the rest is left as it is: openings that nothing closes were quadratic."""
_OPENING = re.compile(r"(?P<blanks> *)(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$")
_CLOSING = re.compile(r" *(`{3,}|~{3,}) *$")
_QUOTE = re.compile(r"^ *> ?")
# What begins an item: marks of lists, definitions, footnotes and admonitions.
_MARK = re.compile(r"(?P<blanks> *)(?P<mark>(?:[-*+]|\d{1,9}\.|:|\[\^[^\]]+\]:) +|!!!)")


class Fences(Preprocessor):
    """Renders the fenced blocks that stand inside something else."""

    def __init__(self, md: Markdown, fenced: Preprocessor) -> None:
        super().__init__(md)
        self._fenced = fenced
        self._steps = 0

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines with each inner block replaced by what stands for it."""
        self._steps = MOST_STEPS_A_LINE * len(lines) + 1000
        return self._replaced(lines)

    def _replaced(self, lines: list[str], *, is_quoted: bool = False) -> list[str]:
        out: list[str] = []
        items: list[int] = []
        """How far in the items begin that the present line may belong to, the outermost first."""
        at = 0
        while at < len(lines):
            line = lines[at]
            blanks = len(line) - len(line.lstrip(" "))
            if line.strip():
                items = _still_open(items, line, blanks, follows_text=bool(at and lines[at - 1].strip()))
            mark = None if _is_code(items, blanks) else _MARK.match(line)
            if mark:
                items = [*items, blanks]
            if self._steps <= 0 or _is_code(items, blanks):
                out.append(line)
                at += 1
            elif opening := _OPENING.match(line, mark.end() if mark else 0):
                end = self._end(lines, at, opening, items)
                if end is not None and (is_quoted or opening.end("blanks")):
                    self._put(lines[at : end + 1], opening, items, out)
                else:
                    # In the first column it is the extension's own: its lines are none of ours.
                    out += lines[at : (at if end is None else end) + 1]
                at = (at if end is None else end) + 1
            elif _QUOTE.match(line):
                end = _end_of_quote(lines, at)
                inner = self._replaced([_QUOTE.sub("", line, count=1) for line in lines[at:end]], is_quoted=True)
                while inner and not inner[-1]:
                    inner.pop()
                out += [f"{' ' * blanks}> {one}".rstrip() for one in inner]
                self._steps -= end - at
                at = end
            else:
                out.append(line)
                at += 1
        return out

    def _end(self, lines: list[str], at: int, opening: re.Match[str], items: list[int]) -> int | None:
        """Return where the block that opens at a line is closed, or None where it is not."""
        is_inside = opening.start() > 0 or any(item < opening.end("blanks") for item in items)
        for end in range(at + 1, len(lines)):
            self._steps -= 1
            if self._steps <= 0 or (is_inside and lines[end].strip() and not lines[end].startswith(" ")):
                return None
            closing = _CLOSING.match(lines[end])
            if closing and closing[1].startswith(opening["fence"]):
                return end
        return None

    def _put(self, lines: list[str], opening: re.Match[str], items: list[int], out: list[str]) -> None:
        """Write what stands for a block, with the blank lines around it that Markdown wants."""
        far = opening.end("blanks")
        code = [line[min(far, len(line) - len(line.lstrip(" "))) :] for line in lines[1:-1]]
        block = self._fenced.run([opening["fence"] + opening["info"], *code, opening["fence"], ""])
        stands = next((line for line in block if line.startswith(STX)), None)
        if stands is None:  # Its first line says more than a language, and is no fence to the extension.
            out += lines
            return
        if opening.start():
            out.append(lines[0][: opening.start()] + stands)
            return
        above = [item for item in items if item < far]
        if out and out[-1].strip():
            out.append("")
        out.append(" " * (TAB * (above[-1] // TAB + 1) if above else 0) + stands)
        out.append("")


def _is_code(items: list[int], blanks: int) -> bool:
    """Say whether a line is so far in that it is code already."""
    above = [item for item in items if item < blanks]
    return blanks >= (above[-1] + 2 * TAB if above else TAB)


def _still_open(items: list[int], line: str, blanks: int, *, follows_text: bool) -> list[int]:
    """Return the items that a line with words may belong to: a paragraph's next line may be further out than it."""
    if follows_text and not _MARK.match(line):
        return items
    return [item for item in items if item < blanks]


def _end_of_quote(lines: list[str], at: int) -> int:
    """Return the line behind a quote: the first that bears no mark, or bears it elsewhere."""
    blanks = lines[at].index(">")
    end = at + 1
    while end < len(lines) and lines[end].startswith(" " * blanks + ">"):
        end += 1
    return end
