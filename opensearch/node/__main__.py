"""`python -m opensearch.node`: a real OpenSearch on this machine, in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from opensearch.node.child import ChildError
from opensearch.node.recipe import RecipeError
from opensearch.node.server import Node


def main() -> int:
    """Run one node and say how Casebook is pointed at it. 0 after a stop that was asked for, 1 when it failed."""
    parser = argparse.ArgumentParser(
        prog="python -m opensearch.node",
        description="Run one OpenSearch node on 127.0.0.1, without sign-in and TLS, for trying production mode.",
    )
    parser.add_argument("--folder", type=Path, default=Path("var/opensearch"), help="for data and log (%(default)s)")
    parser.add_argument("--port", type=int, default=9200, help="HTTP port, 9200 to 9299 (%(default)s)")
    parser.add_argument("--memory", default="1g", help="size of the Java heap, like 512m or 2g (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="start in half the time, search somewhat slower")
    options = parser.parse_args()

    stop_asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_asked.set())
    try:
        node = Node(options.folder, port=options.port, memory=options.memory, quick=options.quick)
        sys.stderr.write("Starting OpenSearch; the first start also fetches its jars (about 90 MB).\n")
        node.start()
    except ValueError as error:
        parser.error(str(error))
    except (RecipeError, ChildError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(
        f"OpenSearch answers on {node.url}; its log is {node.folder / 'node.log'}.\n"
        f"In another terminal: CASEBOOK_SEARCH_URL={node.url} casebook up, then once: casebook index rebuild\n"
    )
    sys.stdout.flush()
    while node.is_running and not stop_asked.wait(0.5):
        pass
    if not node.is_running:
        sys.stderr.write(f"OpenSearch ended by itself. Its log ends:\n{node.child.log_end()}\n")
        return 1
    node.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
