"""Portals that listen on a port of this machine, and a browser with a language and a theme."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from wsgiref.types import WSGIApplication

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import WSGIRequestHandler, make_server

from portal.settings import Settings
from tests.pages.style_guide import make_guide

LANGUAGES = {"en": "en-GB", "zh": "zh-CN"}
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


class QuietHandler(WSGIRequestHandler):
    """Does not write a line for each request."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  The name is werkzeug's.
        pass


@contextmanager
def serving(app: WSGIApplication) -> Iterator[str]:
    """Serve a portal on a free port until the block ends; gives its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = Thread(target=server.serve_forever, name="portal under test")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def guide_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The style guide, which needs no database."""
    folder: Path = tmp_path_factory.mktemp("guide")
    with serving(
        make_guide(Settings.from_environ({"CASEBOOK_DATA_DIR": str(folder), "CASEBOOK_SECRET_KEY": "s" * 40}))
    ) as url:
        yield url


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address as somebody with a language, a theme and a window; a script error fails the test."""
    contexts = []
    mistakes: list[str] = []

    def open_page(
        url: str,
        *,
        language: str = "en",
        theme: str = "light",
        size: dict[str, int] = DESKTOP,
        javascript: bool = True,
        cookies: dict[str, str] | None = None,
    ) -> Page:
        context = browser.new_context(
            locale=LANGUAGES[language], color_scheme=theme, viewport=size, java_script_enabled=javascript
        )
        contexts.append(context)
        context.add_cookies([{"name": name, "value": value, "url": url} for name, value in (cookies or {}).items()])
        page = context.new_page()
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.on(
            "console",
            lambda message: mistakes.append(message.text) if "Content Security Policy" in message.text else None,
        )
        page.goto(url, wait_until="networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert mistakes == []
