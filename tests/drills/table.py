"""The verdicts of several runs beside one another, as Markdown that reads well on a terminal, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROWS: tuple[tuple[str, str], ...] = (
    ("setup", "setup"),
    ("seed", "seed"),
    ("took", "took_s"),
    ("faults", "faults"),
    ("of these killed in the middle of an import", "kills"),
    ("acknowledged writes", "acknowledged"),
    ("of these by HTTP", "by_http"),
    ("of these imported lines", "imported"),
    ("requests without an answer, repeated", "unanswered"),
    ("lost", "lost"),
    ("doubled", "doubled"),
    ("resurrected", "resurrected"),
    ("differences between index and SQL", "differences"),
    ("seconds to equality", "seconds_to_equality"),
    ("searches", "searches"),
    ("failed searches", "failed_searches"),
    ("degraded, and said so", "degraded"),
    ("violations", "violations"),
)


def table(verdicts: Sequence[dict[str, Any]]) -> str:
    """One column a run; below it what each kind of fault did how often, and how each run is repeated."""
    rows = [[label, *(_cell(verdict[key]) for verdict in verdicts)] for label, key in ROWS]
    kinds = sorted({kind for verdict in verdicts for kind in verdict["faults_by_kind"]})
    rows += [
        [f"fault: {kind}", *(_cell(verdict["faults_by_kind"].get(kind, 0)) for verdict in verdicts)] for kind in kinds
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(verdicts) + 1)]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |\n"

    head = line(rows[0]) + line(["-" * widths[0], *("-" * width for width in widths[1:])])
    again = "".join(f"\nagain: {verdict['command']}" for verdict in verdicts)
    return "\n" + head + "".join(map(line, rows[1:])) + again + "\n"


def _cell(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
