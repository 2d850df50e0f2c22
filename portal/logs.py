"""What the processes say: a line each, on stderr, so that stdout stays the commands' own.

Tracebacks are plain.  The pretty ones print local variables, and those hold what customers wrote.
"""

import sys

import structlog


def set_up() -> None:
    """Let structlog write plain lines to stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
