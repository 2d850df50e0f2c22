"""Three OpenSearch nodes, each in a process of its own, so that one of them can be killed alone.

The runner's own program makes clusters of one, so a few lines of Java beside this start a node that knows the others;
they run from source, which takes a JDK.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from opensearch.node.child import Child, ChildError
from opensearch.node.recipe import fetch_jars, find_java
from opensearch.node.server import LOGGING

PROGRAM = Path(__file__).with_name("ClusterNode.java")
NODES = 3
START_S = 240.0


class Cluster:
    """The three nodes; one at a time may be away."""

    def __init__(self, folder: Path, *, memory: str = "400m") -> None:
        self.folder = folder
        self._memory = memory
        self._http = free_http_ports(NODES)
        self._transport = [free_port() for _ in range(NODES)]
        self._nodes: list[Child | None] = [None] * NODES

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self._http]

    def start(self) -> None:
        for number in range(NODES):
            self._launch(number)
        self.wait_until_green(START_S)

    def stop(self) -> None:
        for node in self._nodes:
            if node is not None:
                node.stop()

    def _launch(self, number: int) -> None:
        base = self.folder / f"node{number}"
        config = base / "node_1" / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "log4j2.properties").write_text(LOGGING)
        names = ",".join(f"node{n}" for n in range(NODES))
        seeds = ",".join(f"127.0.0.1:{port}" for port in self._transport)
        speed = ["-XX:TieredStopAtLevel=1", f"-Xmx{self._memory}", "--enable-native-access=ALL-UNNAMED"]
        own: list[object] = [base, f"node{number}", self._http[number], self._transport[number], seeds, names]
        jars = f"{fetch_jars()}/*"
        command: list[str | Path] = [
            find_java().program,
            *speed,
            "-Dfile.encoding=UTF-8",
            "-cp",
            jars,
            PROGRAM,
            *map(str, own),
        ]
        self._nodes[number] = Child(command, log=base / "node.log", cwd=base)

    def node(self, number: int) -> Child:
        found = self._nodes[number]
        assert found is not None, f"node {number} was not started"
        return found

    def kill(self, number: int) -> None:
        self.node(number).kill()

    def end(self, number: int) -> None:
        self.node(number).stop(timeout_s=60)

    def pause(self, number: int) -> None:
        self.node(number).pause()

    def resume(self, number: int) -> None:
        self.node(number).resume()

    def revive(self, number: int) -> None:
        """Start a node again and wait until every shard has its copies."""
        self._launch(number)
        self.wait_until_green(START_S)

    def wait_until_green(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._is_green():
            for number in range(NODES):
                self.node(number).fail_if_ended(f"OpenSearch node {number}")
            if time.monotonic() > deadline:
                raise ChildError(f"The cluster was not green after {timeout_s:.0f} s: {self._health(0)}")
            time.sleep(0.3)

    def _is_green(self) -> bool:
        # Each is asked, because each serves searches, and one that has just joined knows least.
        for number in range(NODES):
            health = self._health(number)
            if not health or health["status"] != "green" or health["number_of_nodes"] != NODES:
                return False
        return True

    def _health(self, number: int) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self._http[number], timeout=5)) as connection:
            try:
                connection.request("GET", "/_cluster/health")
                with closing(connection.getresponse()) as answer:
                    return json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_http_ports(count: int) -> list[int]:
    """Ports that the runner takes: below 9300."""
    found: list[int] = []
    for port in range(9299, 9199, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise ChildError("Three free ports from 9200 to 9299 are needed for the cluster's nodes.")
