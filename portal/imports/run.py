"""Taking a whole file in: batches, a report, and a place to take up again after a stop.

Every batch is one transaction of the feature's own bulk operation.  An object is known by its source and external id:
a file that is taken twice changes nothing, and a run that was stopped goes on behind its last batch.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from portal.imports.reading import Line, read

BATCH = 200
MOST_LISTED = 1000
REFUSED = "refused"


class ItemResult(Protocol):
    """What became of one item: `created`, `updated`, `unchanged` or `refused` with a reason."""

    @property
    def outcome(self) -> str:
        """One of the four words."""

    @property
    def reason(self) -> str | None:
        """Why it was refused."""


Take = Callable[..., Sequence[ItemResult]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that was not taken."""

    line: int
    id: str | None
    reason: str


@dataclass(slots=True)
class Report:
    """How an import went.  `refused` lists the first refusals; `refused_count` counts all."""

    lines: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused_count: int = 0
    refused: list[Refusal] = field(default_factory=list)
    resumed_at_line: int | None = None
    is_finished: bool = False

    def to_json(self) -> dict[str, Any]:
        """Shape the report for `--json`."""
        return asdict(self)

    def refuse(self, line: int, item_id: object, reason: str) -> None:
        """Count a refusal and keep it while the list is short."""
        self.refused_count += 1
        if len(self.refused) < MOST_LISTED:
            self.refused.append(Refusal(line, str(item_id)[:200] if item_id is not None else None, reason))


class Checkpoint:
    """Where a stopped import of the same file goes on.  The file's size and time tell whether it is still the same."""

    def __init__(self, folder: Path, path: Path, purpose: str) -> None:
        name = hashlib.sha256(f"{purpose}\0{path.resolve()}".encode()).hexdigest()[:24]
        self._file = folder / f"{name}.json"
        status = path.stat()
        self._mark = [status.st_size, status.st_mtime_ns]

    def load(self) -> int:
        """Return the number of the last line that was taken; 0 to begin at the start."""
        try:
            kept = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return int(kept["line"]) if kept.get("mark") == self._mark else 0

    def save(self, line: int) -> None:
        """Note the last line of a committed batch."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".part")
        draft.write_text(json.dumps({"mark": self._mark, "line": line}))
        draft.replace(self._file)

    def clear(self) -> None:
        """Forget it: the import is finished, or shall begin anew."""
        self._file.unlink(missing_ok=True)


def run(path: Path, take: Take, *, checkpoint: Checkpoint | None) -> Iterator[Report]:
    """Take a file in, batch by batch; yields the growing report after each, so that the caller may stop between two.

    Raises:
        UnreadableError: the file as a whole cannot be read.
    """
    report = Report()
    skip = checkpoint.load() if checkpoint else 0
    if skip:
        report.resumed_at_line = skip + 1
    lines = (line for line in read(path) if line.number > skip)
    while batch := list(islice(lines, BATCH)):
        _take(batch, take, report)
        if checkpoint:
            checkpoint.save(batch[-1].number)
        yield report
    report.is_finished = True
    if checkpoint:
        checkpoint.clear()
    yield report


def _take(batch: Sequence[Line], take: Take, report: Report) -> None:
    report.lines += len(batch)
    good = []
    for line in batch:
        if line.refused is not None:
            report.refuse(line.number, None, line.refused)
        else:
            good.append(line)
    for line, result in zip(good, take([line.item for line in good]) if good else (), strict=True):
        if result.outcome == REFUSED:
            report.refuse(line.number, line.item.get("id"), result.reason or "")
        else:
            setattr(report, result.outcome, getattr(report, result.outcome) + 1)
