"""What the processes say: a line each, on stderr, so that stdout stays the commands' own.

Tracebacks are plain.  The pretty ones print local variables, and those hold what customers wrote; so do the sentences
of databases, which quote the values they refuse, and so of these only the kind of error is told.
"""

import logging
import sys
import traceback
from typing import TextIO

import structlog
from structlog.typing import ExcInfo

DATABASES = ("sqlalchemy", "psycopg", "sqlite3")


def set_up() -> None:
    """Let structlog write plain lines to stderr, and OpenSearch's client no more than its errors.

    At the levels below, the client writes the bodies of requests and answers, which hold what customers wrote.
    """
    logging.getLogger("opensearch").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=write_traceback),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def write_traceback(out: TextIO, given: ExcInfo) -> None:
    """Write where an exception, and each one behind it, came from, and what it said unless a database said it."""
    pieces: list[str] = []
    told: BaseException | None = given[1]
    while told is not None:
        kind = type(told)
        is_of_database = kind.__module__.startswith(DATABASES)
        said = [f"{kind.__qualname__}\n"] if is_of_database else traceback.format_exception_only(told)
        pieces.append(
            "".join(["Traceback (most recent call last):\n", *traceback.format_tb(told.__traceback__), *said])
        )
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    out.write("\n" + "\nThe error above led to this one:\n\n".join(reversed(pieces)))
