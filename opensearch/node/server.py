"""Starts, stops, kills and pauses one OpenSearch node, and knows when it is ready.

The node comes up through `OpenSearchRunner`, which has three traps: it hops to the next HTTP port when its own is
taken (so the answering process is compared with ours), it takes HTTP ports below 9300 only, and it ends with status 1
and no message for a lock, port or plugin error alike (so those are looked at here first).
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opensearch.node.child import Child, ChildError, Server
from opensearch.node.recipe import Java, fetch_jars, find_java

HTTP_PORTS = range(9200, 9300)
START_TRIES = 3
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1.} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.stderr.name = stderr
logger.stderr.level = error
logger.deprecation.name = org.opensearch.deprecation
logger.deprecation.level = error
"""


class Node(Server):
    """A node of its own cluster that keeps everything below `folder` and listens on 127.0.0.1 alone.

    `quick` halves the start at the price of peak speed, for tests. `settings` go into `opensearch.yml`. A node that
    was stopped or killed can be started again: it keeps its data and its port.
    """

    name = "The node"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        memory: str = "512m",
        quick: bool = True,
        cluster_name: str = "casebook",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        if port is not None and port not in HTTP_PORTS:
            raise ValueError(f"port is {port}; the runner takes {HTTP_PORTS.start} to {HTTP_PORTS.stop - 1} only.")
        if not re.fullmatch(r"\d+[mg]", memory):
            raise ValueError(f"memory is {memory!r}; write it like 512m or 2g.")
        super().__init__()
        self.folder = folder.resolve()
        self.memory = memory
        self.quick = quick
        self.cluster_name = cluster_name
        self.settings = dict(settings or {})
        self._wanted_port = port
        self._port = port

    @property
    def port(self) -> int:
        """The HTTP port, the same for every start of this node."""
        if self._port is None:
            raise ChildError("The node has no port before its first start.")
        return self._port

    @property
    def url(self) -> str:
        """What `CASEBOOK_SEARCH_URL` is set to."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout_s: float = 90.0) -> None:
        """Start the node and wait until it takes searches and writes.

        Raises RecipeError when there is no Java or no jars, ChildError when the node does not come up. A port that
        was free when it was chosen and taken a moment later costs another try, unless it was asked for by number.
        """
        if self.is_running:
            return
        java = find_java()
        jars = fetch_jars()
        for tries_left in reversed(range(START_TRIES)):
            self._choose_port()
            try:
                self._start_once(java, jars, timeout_s)
            except ChildError:
                self.stop()
                if self._wanted_port is not None or not tries_left:
                    raise
                self._port = None
            else:
                return

    def _choose_port(self) -> None:
        if self._port is None:
            # Chosen at random, because several test runs on one machine would all choose the first.
            self._port = next((port for port in random.sample(HTTP_PORTS, len(HTTP_PORTS)) if _is_free(port)), None)
            if self._port is None:
                raise ChildError(f"All ports from {HTTP_PORTS.start} to {HTTP_PORTS.stop - 1} are taken.")
        elif not _is_free(self._port):
            raise ChildError(f"Port {self._port} of 127.0.0.1 is taken: stop what uses it, or choose another port.")

    def _start_once(self, java: Java, jars: Path, timeout_s: float) -> None:
        config = self.folder / "node_1" / "config"
        config.mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        (config / "opensearch.yml").write_text(json.dumps(self._settings(), indent=1))
        (config / "log4j2.properties").write_text(LOGGING)
        self._child = Child(self._command(java, jars), log=self.folder / "node.log", cwd=self.folder)
        self._child.wait_until("OpenSearch", self._is_ready, timeout_s)

    def _settings(self) -> dict[str, object]:
        return {
            "network.host": "127.0.0.1",
            "transport.port": _free_port(),
            "action.auto_create_index": False,
            # A nearly full disk would otherwise turn every index read-only.
            "cluster.routing.allocation.disk.threshold_enabled": False,
        } | self.settings

    def _command(self, java: Java, jars: Path) -> list[str | Path]:
        speed: list[str | Path] = [f"-Xms{self.memory}"]
        if self.quick:
            archive = jars / f"quick-{hashlib.sha256(str(java).encode()).hexdigest()[:12]}.jsa"
            speed = ["-XX:TieredStopAtLevel=1", "-XX:+AutoCreateSharedArchive", f"-XX:SharedArchiveFile={archive}"]
            speed.append("-Xlog:cds=off,cds+dynamic=off")
        return [
            java.program,
            f"-Xmx{self.memory}",
            *speed,
            "--enable-native-access=ALL-UNNAMED",
            "-Dfile.encoding=UTF-8",
            "-cp",
            f"{jars}/*",
            "org.codelibs.opensearch.runner.OpenSearchRunner",
            *("-basePath", self.folder),
            *("-numOfNode", "1"),
            *("-baseHttpPort", str(self.port - 1)),
            *("-clusterName", self.cluster_name),
        ]

    def _is_ready(self) -> bool:
        process = self._get("/_nodes/_local/process")
        if process is None:
            return False
        pids = {node["process"]["id"] for node in process["nodes"].values()}
        if pids != {self.child.pid}:
            raise ChildError(f"Another OpenSearch (process {pids}) answers on port {self.port}.")
        # The node answers before its shards are recovered; a search would be a 503 until then.
        health = self._get("/_cluster/health?wait_for_status=yellow&timeout=1s")
        return health is not None and not health["timed_out"]

    def _get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == http.HTTPStatus.OK else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT after a stopped node counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
