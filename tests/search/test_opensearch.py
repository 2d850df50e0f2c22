"""What only OpenSearch has: a network between.  A small server plays the cluster in trouble."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opensearchpy import Connection
from opensearchpy.exceptions import ConnectionTimeout

from portal.access import ANONYMOUS
from portal.search.document import Document, Tombstone
from portal.search.engine import BadQuery, EngineBusy, EngineDown, IndexMissing
from portal.search.opensearch.breaker import FIRST_PAUSE_S, PAUSE_S
from portal.search.opensearch.engine import OpenSearchEngine
from portal.search.request import SearchRequest
from tests.contract.corpus import CARLA, document

ASKED = SearchRequest(viewer=CARLA, text="alpha", with_correction=False)
Answer = tuple[int, object]


class Cluster:
    """Answers every request with what the test says, and keeps what was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[str, bytes], Answer] = lambda path, body: (200, {})
        self.asked: list[tuple[str, bytes]] = []
        self.connections = 0
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                cluster.connections += 1
                super().setup()

            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                cluster.asked.append((self.path, body))
                status, data = cluster.answer(self.path, body)
                payload = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _reply  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # The pause between two looks whether it is to end is what each test would wait for at its end.
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def fall_silent(self) -> threading.Event:
        """Answer nobody until the event is set."""
        release = threading.Event()

        def wait(_path: str, _body: bytes) -> Answer:
            release.wait(60)
            return 200, {}

        self.answer = wait
        return release

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[OpenSearchEngine]:
    made = OpenSearchEngine(hosts=[cluster.url], prefix="kb")
    yield made
    made.close()


def fault(status: int, kind: str, reason: str = "") -> Answer:
    return status, {"error": {"type": kind, "reason": reason, "root_cause": [{"type": kind}]}, "status": status}


NOTHING = {"hits": {"total": {"value": 0}, "hits": []}, "status": 200}


@pytest.mark.parametrize("is_part", [False, True], ids=["whole", "part"])
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (404, "index_not_found_exception", IndexMissing),
        (400, "index_closed_exception", IndexMissing),
        (429, "rejected_execution_exception", EngineBusy),
        (429, "circuit_breaking_exception", EngineBusy),
        (503, "search_phase_execution_exception", EngineDown),
        (500, "node_not_connected_exception", EngineDown),
        (401, "security_exception", EngineDown),
        (400, "parsing_exception", BadQuery),
    ],
)
def test_refusals_become_the_protocols_errors(
    cluster: Cluster, engine: OpenSearchEngine, status: int, kind: str, expected: type[Exception], is_part: bool
) -> None:
    refused = fault(status, kind)
    cluster.answer = lambda path, body: (200, {"responses": [NOTHING, refused[1]]}) if is_part else refused
    with pytest.raises(expected):
        engine.search(ASKED)


@pytest.mark.thorough
def test_readers_at_once_keep_their_connections(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.search.opensearch.transport.READ_TIMEOUT_S", 60.0)
    engine = OpenSearchEngine(hosts=[cluster.url], prefix="kb")
    readers, rounds = 4, 5
    together = threading.Barrier(readers, timeout=60)

    def answer(path: str, body: bytes) -> Answer:
        together.wait()  # All of them ask at the same time, so that each needs a connection of its own.
        return fault(400, "parsing_exception")

    def read(_reader: int) -> None:
        for _ in range(rounds):
            with pytest.raises(BadQuery):
                engine.search(ASKED)

    cluster.answer = answer
    with ThreadPoolExecutor(readers) as pool:
        list(pool.map(read, range(readers)))
    assert len(cluster.asked) == readers * rounds
    assert cluster.connections == readers
    engine.close()


class Watch:
    """Takes the place of the breaker's pauses: its thread waits until the test lets it ask once."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._turns, self._waits = threading.Semaphore(0), threading.Semaphore(0)

    def wait(self, pause_s: float) -> bool:
        self.pauses.append(pause_s)
        self._waits.release()
        self._turns.acquire()
        return False

    def ask_once(self) -> None:
        assert self._waits.acquire(timeout=60)
        self._turns.release()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def watched(cluster: Cluster, engine: OpenSearchEngine, watch: Watch) -> OpenSearchEngine:
    """The engine as readers have it, whose breaker asks again when the test says so."""
    engine._breaker._wait = watch.wait
    return engine


def searches(cluster: Cluster) -> int:
    return sum(path.partition("?")[0].endswith("search") for path, _ in cluster.asked)


def test_a_dead_engine_costs_one_wait_and_then_nothing(
    cluster: Cluster, watched: OpenSearchEngine, watch: Watch
) -> None:
    """Counted in attempts: the first reader waits, and nobody after it, however long the engine is away."""
    cluster.answer = lambda path, body: fault(503, "unavailable_shards_exception")
    with pytest.raises(EngineDown, match="cannot answer"):
        watched.search(ASKED)
    for _ in range(200):
        with pytest.raises(EngineDown, match="a moment ago"):
            watched.search(ASKED)
    assert not watched.health().is_up
    watch.ask_once()
    until(lambda: len(watch.pauses) == 2)
    with pytest.raises(EngineDown, match="a moment ago"):
        watched.search(ASKED)
    assert (searches(cluster), len(cluster.asked)) == (1, 2), "one reader's attempt, and one of the breaker's own"


@pytest.mark.thorough
def test_an_engine_is_used_again_without_anybody_asking_for_it(
    cluster: Cluster, watched: OpenSearchEngine, watch: Watch
) -> None:
    cluster.answer = lambda path, body: fault(503, "unavailable_shards_exception")
    with pytest.raises(EngineDown):
        watched.search(ASKED)
    watch.ask_once()
    until(lambda: len(watch.pauses) == 2)
    cluster.answer = lambda path, body: (200, {"responses": [NOTHING, NOTHING], "count": 0})
    watch.ask_once()
    until(lambda: not watched._breaker.is_open)
    assert watched.search(ASKED).total == 0
    assert watch.pauses == [FIRST_PAUSE_S, PAUSE_S]


def test_one_slow_query_keeps_the_others_away_for_a_moment_only(
    cluster: Cluster, watched: OpenSearchEngine, watch: Watch
) -> None:
    cluster.answer = lambda path, body: fault(503, "timeout_exception") if "search" in path else (200, {"count": 0})
    with pytest.raises(EngineDown):
        watched.search(ASKED)
    watch.ask_once()
    until(lambda: not watched._breaker.is_open)
    assert watch.pauses == [FIRST_PAUSE_S]


def test_a_silent_engine_is_waited_for_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.search.opensearch.transport.READ_TIMEOUT_S", 0.05)
    slow = OpenSearchEngine(hosts=[cluster.url], prefix="kb")
    release = cluster.fall_silent()
    for _ in range(5):
        with pytest.raises(EngineDown):
            slow.search(ASKED)
    assert searches(cluster) == 1
    release.set()
    slow.close()


@pytest.mark.parametrize("hosts", [["http://one:9200"], ["http://one:9200", "http://two:9200", "http://three:9200"]])
def test_nobody_waits_longer_than_a_second_in_all(hosts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses are silent."""
    clock = began = 100.0

    def say_nothing(asked: Connection, *_request: object, timeout: float | None = None, **_more: object) -> None:
        nonlocal clock
        clock += timeout or asked.timeout
        raise ConnectionTimeout("TIMEOUT", "", None)

    monkeypatch.setattr("opensearchpy.Urllib3HttpConnection.perform_request", say_nothing)
    monkeypatch.setattr("portal.search.opensearch.transport.monotonic", lambda: clock)
    engine = OpenSearchEngine(hosts=hosts, prefix="kb")
    with pytest.raises(EngineDown, match="in time"):
        engine.search(ASKED)
    assert 0.5 < clock - began < 1
    engine.close()


@pytest.mark.thorough
def test_one_silent_address_and_one_that_refuses_leave_the_third(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opensearchpy.connection_pool.random.shuffle", lambda hosts: None)
    # Longer than readers wait, so that a busy machine is not taken for a silent address.
    monkeypatch.setattr("portal.search.opensearch.transport.READ_TIMEOUT_S", 6.0)
    silent, refusing = Cluster(), Cluster()
    release = silent.fall_silent()
    refusing.close()
    cluster.answer = lambda path, body: fault(400, "parsing_exception")
    # The client begins with the first address and goes on with the last.
    engine = OpenSearchEngine(hosts=[silent.url, cluster.url, refusing.url], prefix="kb")
    with pytest.raises(BadQuery):
        engine.search(ASKED)
    assert (searches(silent), searches(cluster)) == (1, 1)
    release.set()
    engine.close()
    silent.close()


def test_who_writes_waits_and_is_never_kept_away(cluster: Cluster) -> None:
    writer = OpenSearchEngine(hosts=[cluster.url], prefix="kb", for_writing=True)
    cluster.answer = lambda path, body: fault(503, "unavailable_shards_exception")
    for _ in range(3):
        with pytest.raises(EngineDown, match="cannot answer"):
            writer.search(ASKED)
    assert searches(cluster) == 3
    writer.close()


def test_a_refused_query_does_not_open_the_breaker(cluster: Cluster, engine: OpenSearchEngine) -> None:
    cluster.answer = lambda path, body: fault(400, "parsing_exception")
    for _ in range(5):
        with pytest.raises(BadQuery):
            engine.search(ASKED)
    assert len(cluster.asked) == 5


def test_no_error_tells_the_password() -> None:
    engine = OpenSearchEngine(hosts=["http://kb:hush-hush@127.0.0.1:9"], prefix="kb")
    with pytest.raises(EngineDown) as down:
        engine.search(ASKED)
    assert "hush" not in str(down.value)
    assert "hush" not in engine.health().detail
    engine.close()


def test_name_and_password_and_certificate_reach_the_client(tmp_path: Path) -> None:
    engine = OpenSearchEngine(hosts=["https://kb:p%40ss@one:9200", "https://kb:p%40ss@two:9243"], prefix="kb")
    hosts = engine._client.transport.hosts
    assert [(host["host"], host["port"], host["use_ssl"], host["http_auth"]) for host in hosts] == [
        ("one", 9200, True, "kb:p@ss"), ("two", 9243, True, "kb:p@ss"),
    ]  # fmt: skip


def bulk(*results: dict[str, object]) -> Answer:
    return 200, {"errors": True, "items": [{"index": {"_id": "x", **result}} for result in results]}


def test_each_document_has_its_own_outcome(cluster: Cluster, engine: OpenSearchEngine) -> None:
    cluster.answer = lambda path, body: bulk(
        {"status": 201},
        {"status": 409, "error": {"type": "version_conflict_engine_exception"}},
        {"status": 429, "error": {"type": "rejected_execution_exception"}},
        {"status": 403, "error": {"type": "cluster_block_exception"}},
        {"status": 503, "error": {"type": "unavailable_shards_exception"}},
        {
            "status": 400,
            "error": {
                "type": "mapper_parsing_exception",
                "reason": "failed to parse field [updated_at] of type [date] in document with id '6'. "
                "Preview of field's value: 'the customer is furious'",
            },
        },
    )
    outcomes = engine.write("kb-1", [document(n, "x") for n in range(6)])
    assert [o.outcome for o in outcomes] == ["done", "superseded", "retry", "retry", "retry", "refused"]
    assert outcomes[-1].reason == "mapper_parsing_exception in updated_at"
    assert "furious" not in str(outcomes)
    path, body = cluster.asked[0]
    assert path.startswith("/kb-1-write/_bulk")
    assert "require_alias=true" in path
    first = json.loads(body.split(b"\n")[0])
    assert first == {"index": {"_id": "article:0", "version": 1, "version_type": "external_gte"}}


@pytest.mark.thorough
def test_a_poisoned_request_is_halved_until_one_stands_alone(cluster: Cluster, engine: OpenSearchEngine) -> None:
    def answer(path: str, body: bytes) -> Answer:
        if b"poison" in body:
            return fault(400, "illegal_argument_exception", "Malformed action/metadata line")
        return bulk(*[{"status": 201}] * (body.count(b"\n") // 2))

    cluster.answer = answer
    items: list[Document | Tombstone] = [document(n, "poison" if n == 37 else "fine") for n in range(100)]
    outcomes = engine.write("kb-1", items)
    assert [n for n, o in enumerate(outcomes) if o.outcome == "refused"] == [37]
    assert {o.outcome for n, o in enumerate(outcomes) if n != 37} == {"done"}
    assert [o.id for o in outcomes] == [item.id for item in items]
    assert len(cluster.asked) < 20


def test_a_busy_cluster_is_asked_again_later(cluster: Cluster, engine: OpenSearchEngine) -> None:
    cluster.answer = lambda path, body: fault(429, "circuit_breaking_exception")
    assert [o.outcome for o in engine.write("kb-1", [document(1, "x")])] == ["retry"]


@pytest.mark.thorough
def test_large_batches_are_parted_by_bytes(
    cluster: Cluster, engine: OpenSearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.search.opensearch.documents.BULK_BYTES", 20_000)
    cluster.answer = lambda path, body: bulk(*[{"status": 201}] * (body.count(b"\n") // 2))
    assert len(engine.write("kb-1", [document(n, "x", "y" * 5000) for n in range(20)])) == 20
    assert max(len(body) for _, body in cluster.asked) <= 20_000 + 6000
    assert len(cluster.asked) > 5


def test_a_lost_index_is_no_fault_of_the_documents(cluster: Cluster, engine: OpenSearchEngine) -> None:
    cluster.answer = lambda path, body: bulk({"status": 404, "error": {"type": "index_not_found_exception"}})
    with pytest.raises(IndexMissing):
        engine.write("kb-1", [document(1, "x")])


def test_where_no_score_orders_hits_no_term_is_counted(cluster: Cluster, engine: OpenSearchEngine) -> None:
    counted = {"hits": {"total": {"value": 1}, "hits": []}, "status": 200}
    cluster.answer = lambda path, body: (200, {"responses": [NOTHING, counted]})
    asked = SearchRequest(viewer=ANONYMOUS, text="alpha", sort="newest", with_facets=False, with_correction=False)
    assert engine.search(asked).total == 1
    assert [path.partition("?")[0] for path, _ in cluster.asked] == ["/kb/_msearch"]


@pytest.mark.thorough
def test_a_word_that_was_not_looked_up_is_not_called_missing(cluster: Cluster, engine: OpenSearchEngine) -> None:
    refused: list[str] = []

    def answer(_path: str, body: bytes) -> Answer:
        queries = [line for line in body.decode().splitlines() if "query" in line]
        busy = fault(429, "rejected_execution_exception")[1]
        parts = [
            busy if "terminate_after" in asked and any(w in asked for w in refused) else NOTHING for asked in queries
        ]
        return 200, NOTHING | {"responses": parts}

    cluster.answer = answer
    asked = SearchRequest(viewer=ANONYMOUS, text="alpha beta", sort="newest", with_facets=False)
    refused.append("beta")
    assert engine.search(asked).missing_words == ("alpha",)
    refused.clear()
    assert engine.search(asked).missing_words == ("alpha", "beta")


@pytest.mark.thorough
def test_every_reading_request_carries_the_rights(cluster: Cluster, engine: OpenSearchEngine) -> None:
    empty = NOTHING | {"responses": [NOTHING, NOTHING], "term_vectors": {}}

    def answer(path: str, body: bytes) -> Answer:
        asked = json.loads(body).get("aggs", {}) if path.endswith("_search") else {}
        counted = {
            name: {"buckets": {key: {"doc_count": 0} for key in each["filters"]["filters"]}}
            for name, each in asked.items()
            if name in ("fields", "terms")
        }
        return 200, empty | {"aggregations": counted}

    cluster.answer = answer
    engine.search(SearchRequest(viewer=ANONYMOUS, text="alpha -beta", filters={"tag": ("x",)}, with_correction=False))
    engine.suggest(ANONYMOUS, "alph")
    engine.similar(ANONYMOUS, "alpha beta")
    lines = [json.loads(line) for path, body in cluster.asked if "search" in path for line in body.splitlines()]
    queries = [line["query"]["bool"] for line in lines if "query" in line]
    assert len(queries) >= 5
    assert all({"terms": {"readers": ["public"]}} in query["filter"] for query in queries)
    engine.explain(SearchRequest(viewer=ANONYMOUS, text="alpha"), "article:1")
    assert all("internal" not in body.decode() for _, body in cluster.asked)
