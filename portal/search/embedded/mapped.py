"""How much of the index's files counts as this process's memory.

tantivy maps its files; every page that was looked at counts as this process's memory until the file is closed, although
the system keeps it once for all processes and under its own control.  A web process that has answered for a while would
count the whole index as its own.  An index that is opened anew begins with no page, and what a search needs comes from
the system's memory, not the disk.
"""

import os
from pathlib import Path

MOST_MAPPED_BYTES = 30_000_000
"""A search looks at some 25 MB.  Opening anew costs a third as much as a search: its pages are mapped again."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Mapped:
    """Watches what has been mapped since the index was opened first."""

    def __init__(self) -> None:
        self._before = 0

    def opened(self) -> None:
        """Note what was mapped before the index was: the program itself."""
        if not self._before:
            self._before = mapped_bytes()

    def is_much(self) -> bool:
        """Say whether it is time to open the index anew."""
        return mapped_bytes() - self._before > MOST_MAPPED_BYTES


def mapped_bytes() -> int:
    """Return how much of files this process has in its memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[2]) * _PAGE_BYTES
    except OSError:
        return 0
