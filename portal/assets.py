"""The files that pages load, published under an address that changes with them.

`static/` is copied once into the data folder as `static/<digest>/`, the style sheets joined into one and everything
compressed.  The digest stands in every address, so browsers may keep a file for ever, modules may import one another by
relative paths, and a page that was open during an upgrade still finds what it was written for.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from wsgiref.headers import Headers

from whitenoise import WhiteNoise
from whitenoise.compress import Compressor

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SOURCE = Path(__file__).parents[1] / "static"
SERVED = frozenset({".css", ".js", ".svg", ".png", ".webmanifest"})
STYLE_SHEET = "casebook.css"
KEPT_EDITIONS = 3


@cache
def edition() -> str:
    """Return the digest of everything that is served, short enough for an address."""
    digest = hashlib.sha256()
    for path in _served():
        digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@lru_cache(maxsize=512)
def asset(name: str) -> str:
    """Return the address of a file of `static/`; a name that is not there fails the page, and so its test."""
    if name != STYLE_SHEET and not (SOURCE / name).is_file():
        raise FileNotFoundError(f"static/{name} does not exist; correct the name in the template that asks for it")
    return f"/static/{edition()}/{name}"


def publish(folder: Path) -> None:
    """Write the present edition below `folder`, whole or not at all; does nothing when it is there already."""
    target = folder / edition()
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
    for path in _served():
        copy = draft / path.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    (draft / STYLE_SHEET).write_text(style_sheet(), encoding="utf-8")
    compressor = Compressor(quiet=True, use_brotli=False)
    for path in [path for path in draft.rglob("*") if path.is_file()]:
        if compressor.should_compress(path.name):
            list(compressor.compress(str(path)))
    draft.chmod(0o755)
    try:
        draft.rename(target)
    except OSError:  # Another process was first; its edition is the same to the byte.
        shutil.rmtree(draft)
    editions = sorted((path for path in folder.glob("[!.]*") if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in editions[:-KEPT_EDITIONS]:
        shutil.rmtree(old, ignore_errors=True)


def style_sheet() -> str:
    """Join Bootstrap's parts, the tokens, the base and one file a block; cascade layers make their order harmless."""
    css = SOURCE / "css"
    paths = [css / "layers.css", SOURCE / "vendor" / "bootstrap.css", css / "tokens.css", css / "base.css"]
    paths += sorted((css / "blocks").glob("*.css"))
    return "".join(path.read_text(encoding="utf-8").strip() + "\n" for path in paths)


class StaticFiles:
    """Answers `/static/…` before the portal is asked; the first such request publishes the edition."""

    def __init__(self, portal: "WSGIApplication", folder: Path) -> None:
        self.portal = portal
        self.folder = folder
        self._files: WhiteNoise | None = None
        self._lock = Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve the file, or let the portal answer, also with its page for what is missing."""
        if not environ.get("PATH_INFO", "").startswith("/static/"):
            return self.portal(environ, start_response)
        with self._lock:
            if self._files is None:
                publish(self.folder)
                self._files = WhiteNoise(
                    self.portal,
                    root=str(self.folder),
                    prefix="static/",
                    immutable_file_test=lambda path, url: True,  # noqa: ARG005  WhiteNoise calls it by position.
                    add_headers_function=_add_headers,
                )
        answer: Iterable[bytes] = self._files(environ, start_response)
        return answer


def _served() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*") if path.suffix in SERVED and path.is_file())


def _add_headers(headers: Headers, path: str, url: str) -> None:  # noqa: ARG001  WhiteNoise's signature.
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
