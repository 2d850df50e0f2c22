"""Child processes that end with their parent: starting, watching, restarting and stopping them.

The kernel tells a child when its parent dies, even by `kill -9`; nothing is left running behind the operator's back.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
STOP_TIMEOUT_S = 25.0
LOOK_EVERY_S = 0.2
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0


class NotStarted(Exception):
    """A process cannot be started; the text is a sentence for the operator."""


@dataclass(kw_only=True)
class Program:
    """A command that should run for as long as the parent does."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    folder: Path
    keeps_open: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    again_at: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)

    def start(self) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            list(self.command),
            env=dict(self.environ),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            pass_fds=self.keeps_open,
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509  One thread runs here, and nothing is locked.
            # Ctrl-C reaches the whole terminal group; the parent alone decides who stops when.
            start_new_session=True,
        )
        self.started_at = time.monotonic()

    def keep_running(self, say: Callable[[str], None]) -> None:
        """Start it again if it ended, a little later each time it ends soon."""
        if self.process is None:
            if time.monotonic() >= self.again_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        self.process = None
        if time.monotonic() - self.started_at > STEADY_AFTER_S:
            self.pause_s = FIRST_PAUSE_S
        self.again_at = time.monotonic() + self.pause_s
        say(f"{self.name} ended unexpectedly ({_how(code)}); it starts again in {self.pause_s:g} s.")
        self.pause_s = min(LONGEST_PAUSE_S, self.pause_s * 2)

    def ask_to_stop(self) -> None:
        """Ask it to finish."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait until it has ended; end it when the deadline passes."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def die_with_parent(parent: int) -> Callable[[], None]:
    """Return what a child runs before its program: the kernel shall send SIGTERM when its parent ends."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # It ended between the two lines.

    return prepare


class Family:
    """Programs that start and stop together."""

    def __init__(self, programs: Sequence[Program], say: Callable[[str], None]) -> None:
        self._programs = programs
        self._say = say
        self._is_asked = False

    def run(self, on_start: Callable[[], None] = lambda: None) -> None:
        """Start them in their order, restart whichever ends, until SIGTERM or Ctrl-C; then stop them, last first."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            for program in self._programs:
                program.start()
            on_start()
            while not self._is_asked:
                for program in self._programs:
                    program.keep_running(self._say)
                time.sleep(LOOK_EVERY_S)
        finally:
            self._stop()

    def _stop(self) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        # Web and worker go first and together; what serves them goes when they are done.
        first, last = self._programs[1:], self._programs[:1]
        if len(self._programs) == 1:
            first, last = self._programs, []
        for group in (first, last):
            for program in group:
                program.ask_to_stop()
            for program in group:
                program.wait(deadline)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked = True


def hold_lock(path: Path, wait_s: float = 10.0) -> int:
    """Hold the lock of a file until this process, and every child that was given the descriptor, has ended.

    Raises:
        NotStarted: another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "?"
            # A holder that was killed leaves the lock with its children, who are on their way out.
            if _is_running(holder) or time.monotonic() >= deadline:
                os.close(descriptor)
                raise NotStarted(
                    f"Casebook runs on {str(path.parent)!r} already, as process {holder}. Stop it first."
                ) from None
            time.sleep(LOOK_EVERY_S)
        else:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            return descriptor


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OSError):
        return False
    return True


def _how(code: int) -> str:
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
