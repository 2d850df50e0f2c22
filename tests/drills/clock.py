"""`python -m tests.drills.clock FILE web|worker`: a process of the product whose clock is wrong.

By how many seconds stands in FILE, which is read at each look at the clock, so that it jumps while the process works.
What measures how long something takes does not jump, as on a real machine.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from portal import extensions


def jumping(file: Path) -> None:
    """Let the product's one clock be wrong; called before anything of the product that looks at it is imported."""

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(file.read_text() or 0))

    extensions.now = now


def set_clock(file: Path, off_s: float) -> None:
    """Let the clocks that look at this file jump."""
    draft = file.with_suffix(".part")
    draft.write_text(str(off_s))
    draft.replace(file)


if __name__ == "__main__":
    jumping(Path(sys.argv[1]))
    from portal.cli import main

    sys.argv = ["casebook", *sys.argv[2:]]
    sys.exit(main())
