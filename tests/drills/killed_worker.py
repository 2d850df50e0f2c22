"""`python -m tests.drills.killed_worker PLACE`: a real worker that kills itself (-9) at a named place of a rebuild.

The places stand around every step that changes the engine or SQL, so that a death at each of them can be tried.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from indexer import rebuild
from indexer.rebuild import Rebuild
from portal.cli import main
from portal.search.embedded.engine import EmbeddedEngine

PLACES: dict[str, tuple[Any, str, str]] = {
    "requested, before anything": (Rebuild, "_prepare", "before"),
    "requested, before the empty index": (EmbeddedEngine, "create_index", "before"),
    "requested, behind the empty index": (EmbeddedEngine, "create_index", "behind"),
    "loading, before the first documents": (Rebuild, "_load", "before"),
    "loading, behind the first documents": (Rebuild, "_write", "behind"),
    "loading, before the cursor is kept": (Rebuild, "_keep_cursor", "before"),
    "loading, behind the cursor": (Rebuild, "_keep_cursor", "behind"),
    "draining": (Rebuild, "_verify", "before"),
    "verifying, behind the comparison": (Rebuild, "_swap", "before"),
    "swapping, before the engine does": (EmbeddedEngine, "swap", "before"),
    "swapping, before SQL knows": (Rebuild, "_finish", "before"),
    "live, before the old index goes": (rebuild, "drop_requested", "before"),
    "dropping, before the files go": (EmbeddedEngine, "drop", "before"),
    "dropping, behind the files": (EmbeddedEngine, "drop", "behind"),
}


def die_at(owner: Any, name: str, side: str) -> None:
    """Let the process kill itself before, or behind, this function once a rebuild is what calls it."""
    known: Callable[..., Any] = getattr(owner, name)

    def deadly(*arguments: Any, **options: Any) -> Any:
        if is_rebuilding[0] and side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = known(*arguments, **options)
        if is_rebuilding[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


is_rebuilding = [False]


def watch(owner: Any, name: str) -> None:
    """Know when a step of a rebuild, or what it left to be dropped, is under way: elsewhere nobody dies."""
    known: Callable[..., Any] = getattr(owner, name)

    def watched(*arguments: Any, **options: Any) -> Any:
        before, is_rebuilding[0] = is_rebuilding[0], True
        try:
            return known(*arguments, **options)
        finally:
            is_rebuilding[0] = before

    setattr(owner, name, watched)


if __name__ == "__main__":
    watch(Rebuild, "step")
    watch(rebuild, "drop_requested")
    die_at(*PLACES[sys.argv[1]])
    sys.argv = ["casebook", "worker"]
    sys.exit(main())
