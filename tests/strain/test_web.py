"""The web process under clients that mean harm: somebody else still gets their page, memory stays, and it recovers.

Times are compared with what the same page took before the attack on the same machine, and generously.
"""

import contextlib
import http.client
import os
import re
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opensearch.node.child import Child
from tests import servers
from tests.moulds import SECRET, settings_in

CASEBOOK = Path(sys.executable).with_name("casebook")
THREADS = 4
PARALLEL = 1_000
PATIENCE_S = 60.0
"""How long anything may take on a machine that does much else; without a guard these tests wait for ever."""
LEAST_PATIENCE_S = 10.0
MOST_GROWTH = 400 * 1024 * 1024


class Web:
    """`casebook web` on a port of its own."""

    def __init__(self, folder):
        self.port = servers.free_port()
        settings = {
            "CASEBOOK_DATA_DIR": str(folder),
            "CASEBOOK_SECRET_KEY": SECRET,
            "CASEBOOK_PORT": str(self.port),
            "CASEBOOK_WEB_WORKERS": "1",
            "CASEBOOK_WEB_THREADS": str(THREADS),
        }
        self.process = Child(
            ["env", *(f"{name}={value}" for name, value in settings.items()), CASEBOOK, "web"], log=folder / "web.log"
        )
        self.process.wait_until("casebook web", lambda: self.status() == 200, PATIENCE_S)

    def status(self, path="/healthz", timeout=PATIENCE_S):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            connection.request("GET", path)
            status = connection.getresponse().status
            connection.close()
        except OSError:
            return None
        return status

    def took(self, path="/sign-in", timeout=PATIENCE_S):
        """How long somebody else waits for a page."""
        began = time.monotonic()
        assert self.status(path, timeout) == 200
        return time.monotonic() - began

    def open(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def memory(self):
        """Resident bytes of the web process and its children."""
        parent = self.process.pid
        found = 0
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                if parent in (int(folder.name), int((folder / "stat").read_text().rpartition(")")[2].split()[1])):
                    found += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return found


pytestmark = pytest.mark.servers
"""They need a server: the portal's own."""


@pytest.fixture(scope="module")
def web(tmp_path_factory, moulds):
    folder = tmp_path_factory.mktemp("web")
    moulds.fill(settings_in(folder), ("people",))
    made = Web(folder)
    yield made
    made.process.stop()


@contextlib.contextmanager
def under(web, clients):
    """Hold what the clients hold open, and say that others are answered: during it, and afterwards as before."""
    before, memory = max(web.took() for _ in range(3)), web.memory()
    with contextlib.ExitStack() as open_ones:
        for client in clients:
            open_ones.enter_context(contextlib.closing(client))
        yield
        during = max(web.took(timeout=30 * before + LEAST_PATIENCE_S) for _ in range(3))
        growth = web.memory() - memory
    after = max(web.took(timeout=30 * before + LEAST_PATIENCE_S) for _ in range(3))
    print(f"before {before:.3f} s, during {during:.3f} s, after {after:.3f} s, memory +{growth / 1e6:.0f} MB")
    assert growth < MOST_GROWTH


def test_connections_that_say_nothing(web):
    with under(web, [web.open() for _ in range(40 * THREADS)]):
        pass


def test_heads_that_come_a_byte_at_a_time(web):
    clients = [web.open() for _ in range(10 * THREADS)]
    with under(web, clients):
        for letter in b"GET / HT":
            for client in clients:
                client.sendall(bytes([letter]))


def test_heads_that_never_end(web):
    """What grows beyond any head is refused by its size alone, however slowly it comes."""
    client = web.open()
    with under(web, [client]):
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        with contextlib.suppress(OSError):
            for number in range(20_000):
                client.sendall(f"X-{number}: {'a' * 100}\r\n".encode())
        assert answer_of(client).startswith(b"HTTP/1.1 431")


def test_too_many_header_fields(web):
    client = web.open()
    with under(web, [client]):
        client.sendall(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(400)) + b"\r\n")
        assert re.match(rb"HTTP/1.1 4\d\d", answer_of(client))


def test_bodies_that_come_slowly(web):
    clients = [web.open() for _ in range(10 * THREADS)]
    head = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with under(web, clients):
        for number, client in enumerate(clients):
            client.sendall(
                head
                + (b"Content-Length: 100000\r\n\r\na" if number % 2 else b"Transfer-Encoding: chunked\r\n\r\n5\r\nab")
            )


def test_two_gigabytes_are_refused_unread(web):
    """The answer comes before the body has, and the threads do not wait for the rest of it."""
    clients = [web.open() for _ in range(3 * THREADS)]
    head = (
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2000000000\r\n\r\n"
    )
    with under(web, clients):
        for client in clients:
            client.sendall(head + b"a" * 100_000)
        assert {answer_of(client)[:12] for client in clients} == {b"HTTP/1.1 413"}


def test_endless_chunks_are_refused(web):
    client, piece = web.open(), b"100000\r\n" + b"a" * 0x100000 + b"\r\n"
    with under(web, [client]):
        client.sendall(
            b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            for _ in range(60):
                client.sendall(piece)
        assert re.match(rb"HTTP/1.1 4\d\d", answer_of(client))


def test_clients_that_do_not_hang_up(web):
    """Gunicorn's own worker stands still for two seconds for each of these."""
    clients = [web.open() for _ in range(40)]
    with under(web, clients):
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


def test_a_thousand_at_once(web):
    """All of them are answered, and so is somebody else in between."""
    statuses, gate = [], threading.Barrier(51)

    def one_after_another():
        gate.wait()
        clients = [web.open() for _ in range(PARALLEL // 50)]
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        for client in clients:
            statuses.append(answer_of(client)[:12])
            client.close()

    memory = web.memory()
    with ThreadPoolExecutor(50) as pool:
        running = [pool.submit(one_after_another) for _ in range(50)]
        gate.wait()
        web.took()
        for each in running:
            each.result()
    assert len(statuses) == PARALLEL
    assert set(statuses) == {b"HTTP/1.1 200"}
    assert web.memory() - memory < MOST_GROWTH


def test_whole_requests_in_every_shape_are_answered(web):
    """The guard is no obstacle: pieces, pipelines, chunks and requests to go on are answered as ever."""
    form = b"email=a%40example.com&password=x"
    post = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"

    def exchange(*pieces, count=1):
        with contextlib.closing(web.open()) as client:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.01)
            received = b""
            while len(re.findall(rb"HTTP/1.1 [2-5]\d\d", received)) < count:
                data = client.recv(65536)
                assert data, received[:300]
                received += data
            return re.findall(rb"HTTP/1.1 (\d\d\d)", received)

    sized = b"%sContent-Length: %d\r\n" % (post, len(form))
    assert exchange(get + b"\r\n") == [b"200"]
    assert exchange(get, b"\r", b"\n") == [b"200"]
    assert exchange(get + b"\r\n" + get + b"\r\n" + get + b"\r\n", count=3) == [b"200"] * 3
    assert exchange(get + b"\r\n" + get[:9], get[9:] + b"\r\n", count=2) == [b"200"] * 2
    assert exchange(sized + b"\r\n", form[:5], form[5:]) == [b"400"]  # Without the form's token.
    assert exchange(sized + b"\r\n" + form + get + b"\r\n", count=2) == [b"400", b"200"]
    assert exchange(sized + b"Expect: 100-continue\r\n\r\n", form) == [b"100", b"400"]
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    assert exchange(chunked + b"5\r\nemail\r\n0\r\n\r\n" + get + b"\r\n", count=2) == [b"400", b"200"]
    assert exchange(chunked, b"5;x=y\r", b"\nem", b"ail\r\n", b"0\r\nX-Trailer: 1\r\n", b"\r\n") == [b"400"]
    for broken in (b"zz\r\n\r\n", b"-5\r\nabc\r\n", b"2\r\nabcdef\r\n0\r\n\r\n", b"5;;;\x00\r\nemail\r\n0\r\n\r\n"):
        assert exchange(chunked + broken)[0] == b"400", broken
    large = b"a" * 3_000_000
    assert exchange(b"%sContent-Length: %d\r\n\r\n" % (post, len(large)), large) == [b"400"]


def answer_of(client):
    received = b""
    with contextlib.suppress(OSError):
        while b"\r\n" not in received:
            data = client.recv(65536)
            if not data:
                break
            received += data
    return received
