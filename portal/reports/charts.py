"""Charts as plain numbers for an SVG: columns of stacked parts, placed in a box that the page scales.

Colours and fonts are the style sheet's, so a chart follows the theme and needs no style of its own; beside each stands
its table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 4, 10, 24
STEPS = 4
MOST_LABELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One rectangle.  `series` is the number of its kind, from 1, for the colour."""

    x: float
    y: float
    width: float
    height: float
    series: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its parts, where its label stands (none where there is no room), and what it says in words."""

    parts: tuple[Part, ...]
    middle: float
    label: str
    is_labelled: bool
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line across with its value."""

    y: float
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything that is drawn."""

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = HEIGHT - BOTTOM


def build_columns(rows: Sequence[tuple[str, str, Sequence[int]]]) -> Chart:
    """Place rows of `(label, title, values)`: a column each, its values one upon the other."""
    top = _rounded(max((sum(values) for _, _, values in rows), default=0))
    room, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    step = room / max(1, len(rows))
    thick = max(1.0, min(step * 0.78, 46))
    every = max(1, -(-len(rows) // MOST_LABELS))
    columns = []
    for number, (label, title, values) in enumerate(rows):
        x = LEFT + number * step + (step - thick) / 2
        y = float(HEIGHT - BOTTOM)
        parts = []
        for series, value in enumerate(values, start=1):
            height = value / top * tall
            y -= height
            if value:
                parts.append(
                    Part(x=round(x, 1), y=round(y, 1), width=round(thick, 1), height=round(height, 1), series=series)
                )
        columns.append(
            Column(
                parts=tuple(parts),
                middle=round(x + thick / 2, 1),
                label=label,
                is_labelled=number % every == 0,
                title=title,
            )
        )
    ticks = tuple(
        Tick(y=round(HEIGHT - BOTTOM - tall * number / STEPS, 1), value=top * number // STEPS)
        for number in range(STEPS + 1)
    )
    return Chart(columns=tuple(columns), ticks=ticks)


def _rounded(value: int) -> int:
    """Return the next round number above that four steps divide."""
    if value <= STEPS:
        return STEPS
    size = 1
    while True:
        for factor in (4, 8, 12, 20, 40):
            if value <= factor * size:
                return factor * size
        size *= 10
