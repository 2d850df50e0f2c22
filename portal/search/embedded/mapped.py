"""The index's files in this process's memory.

tantivy maps its files; every page that was looked at counts as this process's memory until it is given back, although
the system keeps it once for all processes and under its own control.  A web process that has answered for a while would
count the whole index as its own.  Given back, a page that is needed again comes from the system's memory, not the disk.
"""

import contextlib
import ctypes
import os
import threading
from pathlib import Path

MOST_MAPPED_BYTES = 64_000_000
LOOKED_AT_EVERY = 16
MADV_DONTNEED = 4
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Mapped:
    """Watches how much of files is mapped, and gives back what belongs to a folder when it is much."""

    def __init__(self, folder: Path) -> None:
        # As the system writes it: without links on the way.
        self._folder = os.path.realpath(folder) + os.sep
        self._asked = 0
        self._giving = threading.Lock()

    def looked(self) -> None:
        """Note a search; now and then look whether it is time to give back."""
        self._asked += 1
        if (
            self._asked % LOOKED_AT_EVERY
            or mapped_bytes() <= MOST_MAPPED_BYTES
            or not self._giving.acquire(blocking=False)
        ):
            return
        try:
            self.give_back()
        finally:
            self._giving.release()

    def give_back(self) -> None:
        """Give all pages of the folder's files back; whoever reads one meanwhile gets it again."""
        advise = ctypes.CDLL(None, use_errno=True).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        with contextlib.suppress(OSError):
            for region in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
                place, rights, *_, name = region.split(maxsplit=5)
                if name.startswith(self._folder) and "w" not in rights:
                    start, end = (int(part, 16) for part in place.split("-"))
                    advise(start, end - start, MADV_DONTNEED)


def mapped_bytes() -> int:
    """Return how much of files this process has in its memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[2]) * _PAGE_BYTES
    except OSError:
        return 0
