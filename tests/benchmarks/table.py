"""The one table that a benchmark prints: what was measured, how much it was, what was aimed at."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.  `is_met` is None where nothing was aimed at."""

    what: str
    figure: str
    goal: str = ""
    is_met: bool | None = None


class Table:
    """Rows, printed as they come so that a long run can be watched, and once more together at the end."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, what: str, figure: str, goal: str = "", *, is_met: bool | None = None) -> None:
        self.rows.append(Row(what, figure, goal, is_met))
        print(f"… {what}: {figure}", flush=True)

    def at_least(self, what: str, value: float, goal: float, unit: str) -> None:
        self.add(what, f"{_short(value)}{unit}", f"≥ {_short(goal)}{unit}", is_met=value >= goal)

    def at_most(self, what: str, value: float, goal: float, unit: str) -> None:
        self.add(what, f"{_short(value)}{unit}", f"≤ {_short(goal)}{unit}", is_met=value <= goal)

    def spread(self, what: str, values: Sequence[float], unit: str, *, p50: float = 0, p95: float = 0) -> None:
        """Add a row of p50 and p95, with a goal for either of them."""
        middle, high = percentile(values, 50), percentile(values, 95)
        goals = [f"p50 ≤ {_short(p50)}{unit}"] * bool(p50) + [f"p95 ≤ {_short(p95)}{unit}"] * bool(p95)
        is_met = (not p50 or middle <= p50) and (not p95 or high <= p95) if goals else None
        self.add(what, f"p50 {_short(middle)}{unit}, p95 {_short(high)}{unit}", ", ".join(goals), is_met=is_met)

    def text(self, title: str) -> str:
        width = max(len(row.what) for row in self.rows)
        second = max(len(row.figure) for row in self.rows)
        lines = [title, ""]
        for row in self.rows:
            verdict = {True: "met", False: "MISSED", None: ""}[row.is_met]
            lines.append(f"{row.what:{width}}  {row.figure:{second}}  {row.goal:16}  {verdict}".rstrip())
        return "\n".join(lines)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so many of a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] if ordered else math.nan


def load() -> str:
    """How busy the machine was over the last minute, against how many processors it has."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
