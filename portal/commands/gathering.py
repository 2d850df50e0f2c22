"""A web worker whose threads only ever see whole requests.

Gunicorn's threaded worker gives each connection a thread as soon as it is made, and the thread waits for what the
client sends: a few clients that send nothing, or a byte now and then, occupy all threads and nobody else is answered.
Here the one loop that already watches idle connections gathers each request, head and body, and hands it to a thread
when it is whole.  Slow clients then cost a socket and a file, never a thread; when too many wait, the oldest go.
"""

import contextlib
import io
import re
import resource
import selectors
import socket
import tempfile
import time
from functools import partial
from typing import IO, Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from portal.commands import memory

LONGEST_HEAD = 64 * 1024
LARGEST_GATHERED = 33 * 1024 * 1024
"""A little more than the portal takes: what is larger is refused unread."""
IN_MEMORY = 16 * 1024
"""So much of a body is kept in memory, the rest in a file."""
HELD_IN_ALL = 512 * 1024 * 1024
"""So much of all that arrives at once; beyond it the oldest unfinished requests go."""
RECEIVED_AT_ONCE = 256 * 1024
HEAD_PATIENCE_S = 15.0
"""How long a request's head may take to arrive."""
SLOWEST_BODY = 20_000
"""Bytes a second that a body must come to on the whole, after `HEAD_PATIENCE_S`."""
SILENCE_S = 20.0
"""How long a body may pause, and how long a client may not take its answer."""
MOST_WAITING = 3_000
MOST_FILES = 16_384
LINGER_S = 5.0
LINGER_BYTES = 64 * 1024 * 1024
"""How long, and over how much that nobody reads, a closed connection stays, so that its client sees the answer."""
SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
END_OF_HEAD = b"\r\n\r\n"
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Body:
    """Where a request's body ends, told from the bytes as they come."""

    def __init__(self, head: bytes) -> None:
        self.expects_continue = False
        self._is_chunked = False
        self._left = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip().lower()
            if name == b"transfer-encoding":
                self._is_chunked = self._is_chunked or b"chunked" in value
            elif name == b"content-length" and value.isdigit() and len(value) < 20:
                self._left = max(self._left, int(value))
            elif name == b"expect" and value == b"100-continue":
                self.expects_continue = True
        self._line = b""
        self._expects = "size"
        if self._is_chunked:
            self._left = 0

    @property
    def length(self) -> int:
        """How many bytes are known to come."""
        return self._left

    @property
    def has_any(self) -> bool:
        """Whether there is a body at all."""
        return self._is_chunked or self._left > 0

    def take(self, data: bytes) -> tuple[int, bool]:
        """Return how many of these bytes belong to the body, and whether it ends with them.

        What is no body by the rules ends at once: gunicorn says so when it reads it.
        """
        if not self._is_chunked:
            taken = min(self._left, len(data))
            self._left -= taken
            return taken, self._left == 0
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            end = data.find(b"\n", at)
            piece = data[at : end + 1] if end >= 0 else data[at:]
            at += len(piece)
            self._line += piece
            if len(self._line) > LONGEST_HEAD:
                return at, True
            if end >= 0:
                line, self._line = self._line.strip(), b""
                if self._ends_with(line):
                    return at, True
        return at, False

    def _ends_with(self, line: bytes) -> bool:
        """Take a line between chunks; returns whether the body ends with it."""
        if self._expects == "trailer":
            return not line
        if self._expects == "end of chunk":
            self._expects = "size"
            return bool(line)
        size = SIZE.fullmatch(line.partition(b";")[0].strip())
        if size is None:
            return True
        self._left = int(size[0], 16)
        self._expects = "end of chunk" if self._left else "trailer"
        return False


class Arrival:
    """A request on its way in."""

    def __init__(self, began_at: float) -> None:
        self.began_at = self.last_at = began_at
        self.head = bytearray()
        self.body: Body | None = None
        self.file: IO[bytes] = io.BytesIO()
        self.size = 0
        self.rest = b""
        self.is_too_long = False

    @property
    def held(self) -> int:
        """How many bytes are kept for it."""
        return len(self.head) + self.size

    def add(self, data: bytes) -> bool:
        """Take bytes; returns whether the request is whole, or so large that it need not be."""
        if self.body is None:
            looked_at = max(0, len(self.head) - len(END_OF_HEAD))
            self.head += data
            end = self.head.find(END_OF_HEAD, looked_at)
            if end < 0:
                self.is_too_long = len(self.head) > LONGEST_HEAD
                return False
            data = bytes(self.head[end + len(END_OF_HEAD) :])
            del self.head[end + len(END_OF_HEAD) :]
            self.body = Body(bytes(self.head))
            if self.body.length > LARGEST_GATHERED:
                self._close_after()
                return True
            if not self.body.has_any:
                self.rest = data
                return True
            self.file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  Closed with the request.
        taken, is_whole = self.body.take(data)
        self.file.write(data[:taken])
        self.size += taken
        self.rest = data[taken:]
        if self.size > LARGEST_GATHERED and not is_whole:
            self._close_after()
            return True
        return is_whole

    def say_continue(self, sock: socket.socket) -> None:
        """Tell a client that asks first to go on; gunicorn need not tell it again."""
        if self.body is not None and self.body.expects_continue:
            self.body.expects_continue = False
            with contextlib.suppress(OSError):
                sock.send(CONTINUE)
            lines = bytes(self.head).split(b"\r\n")
            self.head[:] = b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:"))

    def is_overdue(self, now: float) -> bool:
        """Say whether the client takes too long."""
        if self.body is None:
            return now - self.began_at > HEAD_PATIENCE_S
        is_slow = self.size < (now - self.began_at - HEAD_PATIENCE_S) * SLOWEST_BODY
        return is_slow or now - self.last_at > SILENCE_S

    def _close_after(self) -> None:
        """Let the answer be the connection's last one: nobody reads the rest of this body."""
        line, _, fields = bytes(self.head).partition(b"\r\n")
        self.head[:] = line + b"\r\nConnection: close\r\n" + fields


class Gathered(SocketUnreader):
    """Gives the parser what was gathered, and only then what else the socket holds."""

    def __init__(self, sock: socket.socket, arrival: Arrival) -> None:
        super().__init__(sock)
        self._head: bytes = bytes(arrival.head)
        self._file: IO[bytes] = arrival.file
        self._file.seek(0)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes."""
        if self._head:
            head, self._head = self._head, b""
            return head
        if not self._file.closed:
            data = self._file.read(max(self.mxchunk, min(size_hint or 0, self.max_body_chunk)))
            if data:
                return data
            self._file.close()
        self.sock.settimeout(SILENCE_S)
        received: bytes = super().chunk(size_hint)
        return received

    def close(self) -> None:
        """Let go of what nobody read."""
        self._file.close()


class GatheringWorker(ThreadWorker):
    """Gunicorn's threaded worker, which gathers requests before it gives them to threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[TConn, Arrival] = {}
        self._lingering: dict[TConn, tuple[float, int]] = {}
        self._held = 0
        self._looked_at = 0.0
        self._trimmed_at = time.monotonic()
        self._most_waiting = min(MOST_WAITING, allow_files(MOST_FILES) // 3)

    def enqueue_req(self, conn: TConn) -> None:
        """Begin to gather a request: on a new connection, on an idle one that speaks again, or behind another one."""
        if len(self._waiting) >= self._most_waiting:
            self._drop_oldest()
        arrival = Arrival(time.monotonic())
        conn.sock.setblocking(False)
        self._waiting[conn] = arrival
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn, arrival))
        early = conn.parser.unreader.take_buffered() if conn.parser is not None else b""
        if early:
            self._take(conn, arrival, early)

    def _on_readable(self, conn: TConn, arrival: Arrival, _sock: object) -> None:
        if self._waiting.get(conn) is not arrival:
            return  # It was dropped while this event waited its turn.
        try:
            data = conn.sock.recv(RECEIVED_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._take(conn, arrival, data)
        else:
            self._drop(conn)

    def _take(self, conn: TConn, arrival: Arrival, data: bytes) -> None:
        arrival.last_at = time.monotonic()
        before = arrival.held
        is_whole = arrival.add(data)
        self._held += arrival.held - before
        if is_whole:
            self._hand_over(conn, arrival)
        elif arrival.is_too_long:
            with contextlib.suppress(OSError):
                conn.sock.send(TOO_LONG)
            self._forget(conn)
            self._linger(conn)
        else:
            arrival.say_continue(conn.sock)
            while self._held > HELD_IN_ALL and self._waiting:
                self._drop_oldest()

    def _hand_over(self, conn: TConn, arrival: Arrival) -> None:
        """Give a whole request to a thread."""
        self._forget(conn)
        conn.data_ready = True
        conn.init()
        conn.parser.unreader = Gathered(conn.sock, arrival)
        conn.rest = arrival.rest
        super().enqueue_req(conn)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer, in a thread; a client that does not take its answer is left."""
        conn.sock.settimeout(SILENCE_S)
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            self.log.debug("A client did not take its answer.")
            raise StopIteration from None

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Keep the connection or close it; what came behind the request is the beginning of the next one."""
        is_kept = not fs.cancelled() and fs.exception() is None and fs.result()
        conn.parser.unreader.close()
        if is_kept:
            if conn.rest:
                conn.parser.unreader.buf.write(conn.rest)
            super().finish_request(conn, fs)
        else:
            self._linger(conn)

    def murder_pending(self) -> None:
        """Close connections whose requests take too long; the loop calls it after each round."""
        super().murder_pending()
        now = time.monotonic()
        if now - self._looked_at < 1.0:
            return
        self._looked_at = now
        for conn in [conn for conn, arrival in self._waiting.items() if arrival.is_overdue(now)]:
            self._drop(conn)
        for conn in [conn for conn, (until, _left) in self._lingering.items() if until < now]:
            self._close(conn)
        if now - self._trimmed_at > memory.TRIM_EVERY_S:
            self._trimmed_at = now
            memory.trim()

    def _drop_oldest(self) -> None:
        self._drop(next(iter(self._waiting)))

    def _drop(self, conn: TConn) -> None:
        """Close a connection whose request is not whole."""
        arrival = self._forget(conn)
        arrival.file.close()
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: TConn) -> Arrival:
        """Gather no more from a connection."""
        arrival = self._waiting.pop(conn)
        self._held -= arrival.held
        self.poller.unregister(conn.sock)
        return arrival

    def _linger(self, conn: TConn) -> None:
        """Close a connection when its client has, or soon; at once it would lose the answer that is on its way.

        Gunicorn waits for that inside its loop, two seconds for each client that does not close.
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_late, conn))
        except (OSError, ValueError, KeyError):
            self.nr_conns -= 1
            conn.close()
            return
        self._lingering[conn] = (time.monotonic() + LINGER_S, LINGER_BYTES)

    def _on_late(self, conn: TConn, _sock: object) -> None:
        if conn not in self._lingering:
            return
        until, left = self._lingering[conn]
        try:
            received = len(conn.sock.recv(RECEIVED_AT_ONCE))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = 0
        if not received or received > left:
            self._close(conn)
        else:
            self._lingering[conn] = (until, left - received)

    def _close(self, conn: TConn) -> None:
        del self._lingering[conn]
        with contextlib.suppress(OSError, ValueError, KeyError):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def allow_files(wanted: int) -> int:
    """Let this process open as many files as wanted, or as the system lets it; returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed, soft)
