"""`casebook web`: gunicorn with our settings."""

from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.typing import ResponseReturnValue
from gunicorn.app.base import BaseApplication
from gunicorn.http import message
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest

from portal.api.errors import answer_http_error
from portal.app import create_app
from portal.commands import memory
from portal.commands.gathering import GatheringWorker
from portal.commands.starting import listen, require_tables, say, set_up_logging, settings_of_process
from portal.extensions import db
from portal.health import traffic
from portal.settings import Settings

LONGEST_REQUEST_LINE = 16 * 1024
"""A thousand Chinese characters in a search take 9,000 bytes of address."""
LONGEST_HEADER = 8190
MOST_HEADERS = 100
WEB_STOP_S = 20
WEB_PATIENCE_S = 60
BACKLOG = 512
MOST_CONNECTIONS = 5_000
"""Of one process, idle and lingering ones counted; those that bring no request are dropped long before."""


class Web(BaseApplication):
    """Gunicorn with our settings and none from the command line or its own files."""

    def __init__(self, settings: Settings, bind: str) -> None:
        self._settings, self._bind = settings, bind
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        # Gunicorn knows 8,190 bytes or no limit at all; this is the one between.
        message.MAX_REQUEST_LINE = LONGEST_REQUEST_LINE
        options: dict[str, Any] = {
            "bind": self._bind,
            "worker_class": GatheringWorker,
            "worker_connections": MOST_CONNECTIONS,
            "workers": self._settings.web_workers,
            "threads": self._settings.web_threads,
            "backlog": BACKLOG,
            "timeout": WEB_PATIENCE_S,
            "graceful_timeout": WEB_STOP_S,
            "keepalive": 5,
            "limit_request_line": LONGEST_REQUEST_LINE,
            "limit_request_fields": MOST_HEADERS,
            "limit_request_field_size": LONGEST_HEADER,
            "preload_app": False,
            "proc_name": "casebook-web",
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108  Gunicorn's own advice.
            "loglevel": "warning",
        }
        for name, value in options.items():
            if name in self.cfg.settings and value is not None:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the portal, in each web worker for itself."""
        app = create_app(self._settings)
        app.register_error_handler(ParseException, _answer_broken_body)
        if self._settings.is_sqlite:
            with app.app_context():
                memory.keep_small_caches(db.engine)
        memory.set_aside_what_stays()
        return app


@click.command()
@click.option("--socket", "descriptor", type=int, hidden=True, help="A listening socket that was inherited.")
def web(*, descriptor: int | None) -> None:
    """Serve the pages and the API alone, without a worker."""
    settings = settings_of_process()
    set_up_logging()
    require_tables(settings)
    db.engine.dispose()
    if descriptor is None:
        listen(settings).close()
        say(f"Casebook answers at {settings.base_url}")
    bind = f"fd://{descriptor}" if descriptor is not None else f"{settings.host}:{settings.port}"
    memory.set_aside_what_stays()
    with traffic.shared_among_processes():
        Web(settings, bind).run()


def _answer_broken_body(_error: ParseException) -> ResponseReturnValue:
    """Answer a body that is none: it is read, and so found to be broken, by whichever view asks for it first."""
    return answer_http_error(BadRequest())


commands = [web]
