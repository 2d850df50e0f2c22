"""How far long work is: a bar that moves on a terminal, a plain line now and then elsewhere.  Both go to stderr."""

import time
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 5.0


class Stopped(click.ClickException):
    """Ctrl-C ended what can be taken up again; the text says how.  130 is what a shell expects of it."""

    exit_code = 130

    def show(self, file: Any = None) -> None:
        """Say so; nothing is wrong."""
        click.echo(f"Stopped. {self.message}", file=file, err=True)


class Watch:
    """Shows one piece of work; silent where `quiet`."""

    def __init__(self, doing: str, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._progress.add_task(doing, total=None)
        self._said_at = time.monotonic()

    def __enter__(self) -> "Watch":
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, doing: str, done: int, total: int | None = None) -> None:
        """Say what is being done and how much of it is, of how much where that is known."""
        self._progress.update(self._task, description=doing, completed=done, total=total)
        if not self._console.is_terminal and time.monotonic() - self._said_at > LINE_EVERY_S:
            self._said_at = time.monotonic()
            self._console.print(f"{doing}: {done}{f' of {total}' if total else ''}", highlight=False)
