"""A server process that ends with its parent, however the parent ends.

On Linux the kernel sends the child a signal when the thread that started it ends, so the child is started from a
daemon thread that does nothing but wait for it; elsewhere an exit handler stops it, which `kill -9` gets round.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path


class ChildError(RuntimeError):
    """A server process did not do what was asked of it; the message quotes the end of its log."""


def hold(pids: Sequence[int], timeout_s: float = 10.0) -> None:
    """Stop these processes (SIGSTOP) and return once each of their threads stands still.

    The signal alone is no more than a request: `kill` returns while threads still run, and one of them may answer.
    Processes that have ended are left in peace.  Raises `ChildError` when one still runs after `timeout_s`.
    """
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + timeout_s
    for pid in pids:
        while not _stands_still(pid):
            if time.monotonic() > deadline:
                raise ChildError(f"Process {pid} still runs {timeout_s:.0f} s after it was told to stop.")
            time.sleep(0.001)


def let_go(pids: Sequence[int]) -> None:
    """Undo `hold(pids)`, the last first."""
    for pid in reversed(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    """Whether every thread of a process is stopped or has ended (proc_pid_stat(5), field 3)."""
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            if thread.read_text().rpartition(")")[2].split()[0] not in "TtZX":
                return False
    return True


class Child:
    """One running server process with its log file.

    `user` is the name of the account to run as, for servers that refuse to run as root. `death_signal` is what the
    process is sent when its parent is gone, and what `stop()` sends.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        user: str | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._death_signal = death_signal
        self._ended = threading.Event()
        self._started = threading.Event()
        self._error: OSError | None = None
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._run, args=(cwd, user), daemon=True, name=f"child {self.command[0]}").start()
        self._started.wait()
        if self._error is not None:
            raise ChildError(f"Cannot start {self.command[0]!r}: {self._error}.") from self._error
        atexit.register(self.stop)

    def _run(self, cwd: Path | None, user: str | None) -> None:
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._wrapper(user), *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    start_new_session=True,  # Ctrl-C is for the parent, which then stops its servers in order.
                )
        except OSError as error:
            self._error = error
            return
        finally:
            self._started.set()
        self._process.wait()
        self._ended.set()

    def _wrapper(self, user: str | None) -> list[str]:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            if user is not None:
                raise FileNotFoundError(f"setpriv (of util-linux) is needed to run as {user!r}")
            return []
        as_user = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return [setpriv, *as_user, f"--pdeathsig={self._death_signal.name.removeprefix('SIG')}", "--"]

    @property
    def pid(self) -> int:
        """The process id of the server itself: `setpriv` becomes it."""
        assert self._process is not None  # noqa: S101 - set before the constructor returns
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return not self._ended.is_set()

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._process.returncode if self._process is not None and self._ended.is_set() else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server process alone; one that has ended is left in peace."""
        if self.is_running and self._process is not None:
            self._process.send_signal(number)

    def stop(self, timeout_s: float = 20.0) -> None:
        """Ask the server to end, wait for it, and kill it when it takes longer than `timeout_s`."""
        if self.is_running:
            self.resume()
            self.signal(self._death_signal)
            if not self._ended.wait(timeout_s):
                self.kill()
        atexit.unregister(self.stop)

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL) and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._ended.wait()

    def pause(self) -> None:
        """Make the server and its own children hang (SIGSTOP): connections stay open and nothing answers."""
        if self.is_running:
            hold((self.pid, *self._children()))

    def resume(self) -> None:
        """Undo `pause()`."""
        if self.is_running:
            let_go((self.pid, *self._children()))

    def _children(self) -> list[int]:
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    def log_end(self, lines: int = 15) -> str:
        """The last lines that the server wrote, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def fail_if_ended(self, name: str) -> None:
        """Raise `ChildError` with the end of the log when the process is not running any more."""
        if not self.is_running:
            raise ChildError(f"{name} ended with status {self.returncode}. Its log ends:\n{self.log_end()}")

    def wait_until(self, name: str, ready: Callable[[], bool], timeout_s: float) -> None:
        """Call `ready()` until it is true; raise `ChildError` when the process ends or `timeout_s` pass first."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.fail_if_ended(name)
            if time.monotonic() > deadline:
                raise ChildError(f"{name} did not answer within {timeout_s:.0f} s. Its log ends:\n{self.log_end()}")
            time.sleep(0.05)


class Server:
    """What one child serves, and what a test does to it: `start()` of a subclass makes `_child`."""

    name = "The server"

    def __init__(self) -> None:
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        """The running process.  Raises `ChildError` when the server was not started."""
        if self._child is None:
            raise ChildError(f"{self.name} is not started.")
        return self._child

    @property
    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._child is not None and self._child.is_running

    def stop(self) -> None:
        """Stop in order.  What was acknowledged is kept for the next start."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """End the server as a power cut would."""
        self.child.kill()
        self.stop()

    def pause(self) -> None:
        """Make the server hang: it accepts connections and answers nothing."""
        self.child.pause()

    def resume(self) -> None:
        """Undo `pause()`."""
        self.child.resume()
