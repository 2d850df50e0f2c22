"""What production refuses to start with and `casebook doctor` looks at first: open data, weak secrets, debug mode."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from portal.settings import KEY_FILE, SHORTEST_SECRET, Settings, SettingsError

FEWEST_DIFFERENT = 10
"""A secret of fewer different characters was not made by chance."""
TELLTALE = ("secret", "changeme", "change-me", "default", "password", "example", "casebook", "development", "123456")
PRIVATE_FILES = (KEY_FILE, "casebook.sqlite3")
"""What must not be readable in a data folder that others may enter."""


def refuse_unsafe(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Stop the start of a production portal that would be unsafe.

    Raises:
        SettingsError: lists everything that is wrong, a line each.
    """
    if not settings.is_production:
        return
    wrong = [*weak_secret(settings), *debug_mode(environ), *open_cookies(settings), *open_data(settings)]
    if wrong:
        raise SettingsError("\n".join(["Production is refused:", *(f"  {sentence}" for sentence in wrong)]))


def weak_secret(settings: Settings) -> list[str]:
    """Say what is wrong with the secret key."""
    secret = settings.secret_key
    if len(secret) < SHORTEST_SECRET:
        return [f"CASEBOOK_SECRET_KEY is shorter than {SHORTEST_SECRET} characters. Make a longer one."]
    rest = secret.lower()
    for word in TELLTALE:
        rest = rest.replace(word, "")
    if len(set(secret)) < FEWEST_DIFFERENT or len(rest) < SHORTEST_SECRET:
        making = "python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        return [f"CASEBOOK_SECRET_KEY is not random. Make one with `{making}`."]
    return []


def debug_mode(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Say which variables turn a mode on that shows the inside to strangers."""
    return [
        f"{name} is set: its pages run code for whoever sees an error. Unset it."
        for name in ("FLASK_DEBUG", "WERKZEUG_DEBUG_PIN")
        if environ.get(name, "").lower() not in ("", "0", "false", "no", "off")
    ]


def open_cookies(settings: Settings) -> list[str]:
    """Say why session cookies would travel unencrypted."""
    if settings.is_production and not settings.base_url.startswith("https://"):
        return [f"CASEBOOK_BASE_URL is {settings.base_url!r}: cookies would travel unencrypted. Serve it by https://."]
    return []


def open_data(settings: Settings) -> list[str]:
    """Say which parts of the data folder any user of this machine may read."""
    folder = settings.data_dir
    if not _is_open(folder):
        return []
    found = [folder / name for name in PRIVATE_FILES if _is_open(folder / name)]
    places = ", ".join(str(path) for path in found) or str(folder)
    return [f"{places} can be read by every user of this machine. Run `chmod 700 {folder}`."]


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH))
    except OSError:
        return False
