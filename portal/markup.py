"""The one place where written text becomes HTML: `render` and `render_many`.

Rendering happens once, at save, in processes that are started at the first use, can be killed, and end with the process
that started them.  Whatever goes wrong with a text, the answer is that text, escaped, with the reason beside it.
"""

import atexit
import contextlib
import html as entities
import os
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from flask_babel import gettext, lazy_gettext
from markupsafe import Markup

from portal.renderer import frame

ROOT = Path(__file__).resolve().parent.parent
MOST_PROCESSES = 2
CHUNK = 24
SILENCE_S = 8.0
"""How long a renderer may say nothing, by the clock; its own limit of processor time is much shorter."""

REASONS = {
    "too_long": lazy_gettext("the text is longer than 200 KB; divide it into several articles"),
    "too_many_brackets": lazy_gettext(
        "a paragraph holds more than 300 square brackets; divide it or put it into a code block"
    ),
    "too_many_marks": lazy_gettext(
        "a paragraph holds thousands of formatting marks; divide it or put it into a code block"
    ),
    "too_deep": lazy_gettext("lists or quotes are nested too deeply; make them flatter"),
    "too_large": lazy_gettext(
        "it becomes many times as long when it is formatted; use long links, abbreviations and wide tables less often"
    ),
    "too_slow": lazy_gettext(
        "formatting it takes too long; make it simpler or put long tables of signs into a code block"
    ),
    "failed": lazy_gettext("its formatting cannot be understood; remove unusual marks and try again"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The Markdown of one article by part, and the headings that its parts stand under."""

    texts: Mapping[str, str]
    headings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What became of a source."""

    html: dict[str, str]
    """Safe HTML by part; empty parts are left out."""
    sections: list[dict[str, str]]
    """Plain text in reading order: `{"anchor", "heading", "level", "text"}`."""
    problem: str | None = None
    """A key of `REASONS` where the text could not be formatted and stands escaped."""

    @property
    def reason(self) -> str | None:
        """Return the sentence about what stood in the way, or None."""
        if self.problem is None:
            return None
        return str(gettext("The text is shown as it was written: %(reason)s.", reason=str(REASONS[self.problem])))


def render(texts: Mapping[str, str], *, headings: Mapping[str, str] | None = None) -> Rendered:
    """Render the parts of one article.  Never raises for what the text holds."""
    return render_many([Source(texts=texts, headings=headings or {})])[0]


def render_many(sources: Sequence[Source]) -> list[Rendered]:
    """Render many articles, over several processes where that pays.  The answers keep the order."""
    return _pool.render(sources)


def trusted(html: str | None) -> Markup:
    """Mark HTML that came out of `render`, and was kept in a column nobody else writes, as ready for a page."""
    return Markup(html or "")  # noqa: S704  Sanitised by `render` before it was stored.


def escaped(source: Source, problem: str) -> Rendered:
    """Return a source as escaped text, paragraph by paragraph."""
    html: dict[str, str] = {}
    sections: list[dict[str, str]] = []
    for part, text in source.texts.items():
        if not text.strip():
            continue
        html[part] = f'<div class="as-written">{entities.escape(text)}</div>'
        title = source.headings.get(part, "")
        sections.append({"anchor": part if title else "", "heading": title, "level": "2", "text": text})
    return Rendered(html=html, sections=sections, problem=problem)


class _Process:
    """One renderer: takes a chunk of sources and answers them one by one."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "portal.renderer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        )
        self._buffer = bytearray()
        self.waiting: deque[int] = deque()
        """The numbers of the sources it has been given and has not answered, in order."""
        self.heard_at = 0.0

    def fileno(self) -> int:
        return cast("Any", self._popen.stdout).fileno()  # type: ignore[no-any-return]

    def give(self, numbers: Sequence[int], sources: Sequence[Source]) -> None:
        items = [{"texts": dict(sources[n].texts), "headings": dict(sources[n].headings)} for n in numbers]
        self.waiting.extend(numbers)
        self.heard_at = time.monotonic()
        # The renderer reads a whole chunk before it writes, so this cannot block both sides.
        with contextlib.suppress(BrokenPipeError):
            stdin = cast("Any", self._popen.stdin)
            stdin.write(frame(items))
            stdin.flush()

    def read(self) -> list[dict[str, Any]] | None:
        """Return the answers that have arrived, or None when the renderer has ended."""
        import json

        data = os.read(self.fileno(), 1 << 20)
        if not data:
            return None
        self.heard_at = time.monotonic()
        self._buffer += data
        answers = []
        while len(self._buffer) >= 4 and len(self._buffer) >= 4 + (size := struct.unpack_from("!I", self._buffer)[0]):
            answers.append(json.loads(bytes(self._buffer[4 : 4 + size])))
            del self._buffer[: 4 + size]
        return answers

    def end(self) -> int:
        """Kill it and return how it ended: negative for a signal."""
        self._popen.kill()
        code = self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                cast("Any", stream).close()
        return code


class _Pool:
    """The renderers of this process.  One batch at a time uses them; a forked child starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: list[_Process] = []
        self._pid = os.getpid()

    def render(self, sources: Sequence[Source]) -> list[Rendered]:
        with self._lock:
            if self._pid != os.getpid():
                # The renderers belong to the process that forked this one; only let go of them.
                self._processes, self._pid = [], os.getpid()
            try:
                return self._render(sources)
            except BaseException:
                self._end_all()  # Answers that nobody waits for any more must not be taken for the next batch's.
                raise

    def _render(self, sources: Sequence[Source]) -> list[Rendered]:
        done: dict[int, Rendered] = {}
        deaths: Counter[int] = Counter()
        todo = deque(range(len(sources)))
        wanted = min(MOST_PROCESSES, max(1, len(sources) // CHUNK))
        while len(done) < len(sources):
            while todo and len(self._processes) < wanted:
                self._processes.append(_Process())
            for process in self._processes[:wanted]:
                if todo and not process.waiting:
                    process.give([todo.popleft() for _ in range(min(CHUNK, len(todo)))], sources)
            for process, is_silent in self._ready():
                answers = None if is_silent else process.read()
                if answers is None:
                    deaths[process.waiting[0]] += MOST_PROCESSES if is_silent else 0
                    self._bury(process, sources, done, deaths, todo)
                    continue
                for answer in answers:
                    number = process.waiting.popleft()
                    done[number] = _rendered(sources[number], answer)
        return [done[number] for number in range(len(sources))]

    def _ready(self) -> list[tuple[_Process, bool]]:
        """Wait for, and return, the renderers that have spoken or ended, and those that have been silent too long."""
        busy = [process for process in self._processes if process.waiting]
        with selectors.DefaultSelector() as selector:
            for process in busy:
                selector.register(process, selectors.EVENT_READ)
            spoken = [cast("_Process", key.fileobj) for key, _ in selector.select(timeout=1.0)]
        overdue = time.monotonic() - SILENCE_S
        return [(p, p not in spoken) for p in busy if p in spoken or p.heard_at < overdue]

    def _bury(
        self,
        process: _Process,
        sources: Sequence[Source],
        done: dict[int, Rendered],
        deaths: Counter[int],
        todo: deque[int],
    ) -> None:
        """Give up the item a dead renderer was at; the rest of its chunk goes back to the others."""
        self._processes.remove(process)
        code = process.end()
        at = process.waiting.popleft()
        deaths[at] += 1
        if code == -signal.SIGPROF or deaths[at] > MOST_PROCESSES:
            done[at] = escaped(sources[at], "too_slow" if code in (-signal.SIGPROF, -signal.SIGKILL) else "failed")
        else:
            # It may have been dead before it was asked, and all others with it; then a new one will do.
            todo.appendleft(at)
        todo.extendleft(reversed(process.waiting))

    def _end_all(self) -> None:
        for process in self._processes:
            process.end()
        self._processes = []

    def close(self) -> None:
        """End this process's renderers."""
        if self._pid == os.getpid():
            self._end_all()


def _rendered(source: Source, answer: dict[str, Any]) -> Rendered:
    if "problem" in answer:
        return escaped(source, answer["problem"])
    return Rendered(html=answer["html"], sections=answer["sections"])


_pool = _Pool()
atexit.register(_pool.close)
