"""Portals that listen on a port of this machine, and a browser with a language and a theme."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from flask import Flask
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import select
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wsgi import ClosingIterator

import portal.app
from indexer import rebuild, sync
from indexer.rebuild import Rebuild
from portal import audit
from portal.accounts import sessions
from portal.accounts.models import User
from portal.demo.load import load_demo
from portal.extensions import db
from portal.search.current import make_engine
from portal.settings import Settings
from tests.pages.style_guide import make_guide
from tests.people import PASSWORD, Person

LANGUAGES = {"en": "en-GB", "zh": "zh-CN"}
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
LEFT = "Failed to fetch dynamically imported module"
"""What a page says that is left before its scripts have come; one whose scripts cannot be had never listens."""
# A page on a busy machine may take long; what is waited for is what happens, not how soon.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


ANSWER = "casebook.tests.answer"
"""Where the environment of a request keeps what closes its answer."""


def until_it_listens(page: Page) -> None:
    """Wait until the behaviours of a page are wired, if it has any: what is typed before is nobody's event."""
    expect(page.locator("html[data-ready], html:not(:has(script[src*='/js/main']))")).to_be_attached()


def follow(way: Locator) -> None:
    """Press what leads to another page, and wait until that one is there; a click alone waits for nothing."""
    with way.page.expect_navigation():
        way.click()


def open_as(person: Person, open_page: Callable[..., Page], url: str, path: str, **look: object) -> Page:
    """Open a page as somebody who signed in the way people do."""
    page = open_page(f"{url}/sign-in", **look)
    page.fill("#email", person.email)
    page.fill("#password", PASSWORD)
    follow(page.locator("main button[type=submit]"))
    page.goto(url + path, wait_until="networkidle")
    if look.get("javascript", True):
        until_it_listens(page)
    return page


class Handler(WSGIRequestHandler):
    """Writes no line for each request, and closes also an answer that nobody waits for any more.

    werkzeug's own leaves it open when the connection is reset while it reads what is left of the request.
    """

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
        if environ is not None:
            environ[ANSWER].close()

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  The name is werkzeug's.
        pass


@contextmanager
def serving(app: WSGIApplication) -> Iterator[str]:
    """Serve a portal on a free port until the block ends; gives its address."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        chunks = app(environ, start_response)
        environ[ANSWER] = ExitStack()
        if hasattr(chunks, "close"):
            environ[ANSWER].callback(chunks.close)
        return ClosingIterator(map(bytes, chunks), environ[ANSWER].close)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Handler)
    # The pause between two looks whether it is to end is what each test would wait for at its end.
    thread = Thread(target=server.serve_forever, args=(0.01,), name="portal under test")
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


@dataclass(frozen=True)
class House:
    """The whole portal with the demo's content, listening."""

    app: Flask
    url: str
    cookies: dict[str, dict[str, str]]
    """For each role the cookie of somebody who is signed in."""


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The portal as `make run` shows it: the demo loaded, the index built, one person of each role signed in."""
    folder: Path = tmp_path_factory.mktemp("house")
    environment = {"CASEBOOK_DATA_DIR": str(folder), "CASEBOOK_SECRET_KEY": "s" * 40, "CASEBOOK_LIMITS": "off"}
    settings = Settings.from_environ(environment)
    app = portal.app.create_app(settings)
    with app.app_context():
        db.create_all()
        load_demo(settings=settings)
        writer = make_engine(settings, for_writing=True)
        rebuild.ensure_index(writer, "journeys")
        work = Rebuild(writer, "journeys", "journeys")
        while work.step():
            pass
        work.let_go()
        sync.drain(writer, "journeys")
        writer.close()
        # A line of many small facts, which a phone must break.
        audit.append("thing.done", by=None, details={f"detail {number}": "some words" for number in range(12)})
        serializer = app.session_interface.get_signing_serializer(app)
        cookies: dict[str, dict[str, str]] = {"anonymous": {}}
        for user in db.session.scalars(select(User)).all():
            token = sessions.start(user, agent="a browser")
            cookies.setdefault(user.role, {app.config["SESSION_COOKIE_NAME"]: serializer.dumps({"_user_id": token})})
        db.session.commit()
    with serving(app) as url:
        yield House(app, url, cookies)
    with app.app_context():
        db.engine.dispose()


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
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: None if LEFT in str(error) else mistakes.append(str(error)))
        page.on(
            "console",
            lambda message: mistakes.append(message.text) if "Content Security Policy" in message.text else None,
        )
        page.goto(url, wait_until="networkidle")
        if javascript:
            until_it_listens(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert mistakes == []
