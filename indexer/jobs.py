"""RQ's way in.  A job carries no data: it says that something was saved, and the outbox says what."""

from collections.abc import Callable

_wake: list[Callable[[], None]] = []


def listen(wake: Callable[[], None]) -> None:
    """Let jobs call this: the worker of this process says so when it starts."""
    _wake[:] = [wake]


def drain() -> None:
    """Write what is pending."""
    for wake in _wake:
        wake()
