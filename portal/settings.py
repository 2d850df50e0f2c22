"""What the operator decides, read once from the environment into a frozen object.

A bad value, or a `CASEBOOK_` name that nothing reads, stops the start with a sentence that names it.
"""

import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PREFIX = "CASEBOOK_"
SHORTEST_SECRET = 32
KEY_FILE = "secret_key"
"""The file in the data folder that holds the secret key where no setting does."""


class SettingsError(Exception):
    """A setting has a value that cannot be used; the text names the variable and what was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every setting, in the units the product uses.  Build it with `from_environ`."""

    data_dir: Path
    host: str
    port: int
    database_url: str
    search_url: str
    search_prefix: str
    search_ca: Path | None
    search_stages: tuple[str, ...]
    queue_url: str
    secret_key: str
    old_secret_keys: tuple[str, ...]
    env: str
    base_url: str
    trusted_hosts: tuple[str, ...]
    proxies: int
    limits: bool
    mail_url: str
    mail_from: str
    web_workers: int
    web_threads: int
    search_log_days: int

    @property
    def is_production(self) -> bool:
        """Production refuses what development forgives: default secrets, demo content, plain cookies."""
        return self.env == "production"

    @property
    def is_embedded_search(self) -> bool:
        """The index is a folder of this machine, written by one worker."""
        return self.search_url == "embedded:"

    @property
    def is_embedded_queue(self) -> bool:
        """The queue server is started by `casebook up` and speaks over a socket in the data folder."""
        return self.queue_url == "embedded:"

    @property
    def is_sqlite(self) -> bool:
        """The database is one file."""
        return self.database_url.startswith("sqlite")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read and check all settings.

        Raises:
            SettingsError: a value cannot be used, or a `CASEBOOK_` name is unknown.
        """
        unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in KNOWN)
        if unknown:
            raise SettingsError(
                f"{unknown[0]} is not a setting of Casebook. Remove it or correct its name; "
                f"the settings are {', '.join(sorted(KNOWN))}."
            )

        def text(name: str, default: str) -> str:
            return environ.get(PREFIX + name, "").strip() or default

        env = _one_of("ENV", text("ENV", "development"), ("development", "production"))
        data_dir = Path(text("DATA_DIR", "var")).absolute()
        host = text("HOST", "127.0.0.1")
        port = _whole("PORT", text("PORT", "8000"), 1, 65535)
        production = env == "production"
        limits = _one_of("LIMITS", text("LIMITS", "on"), ("on", "off")) == "on"
        if production and not limits:
            raise SettingsError("CASEBOOK_LIMITS may be 'off' for measuring only; production refuses it. Unset it.")
        trusted = tuple(name.strip() for name in text("TRUSTED_HOSTS", "").split(",") if name.strip())
        if production and not trusted:
            raise SettingsError(
                "CASEBOOK_TRUSTED_HOSTS is required in production: the host names, separated by commas, "
                "that the portal is reached by."
            )
        base_url = text("BASE_URL", "" if production else f"http://{host}:{port}").rstrip("/")
        _url("BASE_URL", base_url, ("http", "https"))
        ca = text("SEARCH_CA", "")
        if ca and not Path(ca).is_file():
            raise SettingsError(f"CASEBOOK_SEARCH_CA: {ca!r} is not a file. Give the path of a PEM certificate.")
        return cls(
            data_dir=data_dir,
            host=host,
            port=port,
            database_url=_database(text("DATABASE_URL", f"sqlite:///{data_dir / 'casebook.sqlite3'}")),
            search_url=_search(text("SEARCH_URL", "embedded:")),
            search_prefix=_prefix(text("SEARCH_PREFIX", "casebook")),
            search_ca=Path(ca) if ca else None,
            search_stages=_stages(text("SEARCH_STAGES", "priors,pins")),
            queue_url=_queue(text("QUEUE_URL", "embedded:")),
            secret_key=_secret(environ.get(PREFIX + "SECRET_KEY", ""), data_dir, production=production),
            old_secret_keys=tuple(key.strip() for key in text("OLD_SECRET_KEYS", "").split(",") if key.strip()),
            env=env,
            base_url=base_url,
            trusted_hosts=trusted,
            proxies=_whole("PROXIES", text("PROXIES", "0"), 0, 5),
            limits=limits,
            mail_url=_mail(text("MAIL_URL", "folder:"), production=production),
            mail_from=text("MAIL_FROM", "Casebook <casebook@localhost>"),
            web_workers=_whole("WEB_WORKERS", text("WEB_WORKERS", "2"), 1, 64),
            web_threads=_whole("WEB_THREADS", text("WEB_THREADS", "4"), 1, 64),
            search_log_days=_whole("SEARCH_LOG_DAYS", text("SEARCH_LOG_DAYS", "400"), 0, 3650),
        )


KNOWN = frozenset(PREFIX + name.upper() for name in Settings.__dataclass_fields__)


STAGES = ("priors", "pins")
"""What orders the hits after the engine; `portal.search.stages` makes them."""


def _stages(value: str) -> tuple[str, ...]:
    names = tuple(name for part in value.split(",") if (name := part.strip()))
    if names == ("none",):
        return ()
    for name in names:
        if name not in STAGES or names.count(name) > 1:
            raise SettingsError(
                f"CASEBOOK_SEARCH_STAGES: {name!r} is no stage, or stands there twice. "
                f"Give some of {', '.join(STAGES)} in the order they shall work, or 'none'."
            )
    return names


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise SettingsError(f"CASEBOOK_{name}: {value!r} is none of {', '.join(choices)}.")
    return value


def _whole(name: str, value: str, least: int, most: int) -> int:
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise SettingsError(f"CASEBOOK_{name}: {value!r} is not a whole number from {least} to {most}.")
    return int(value)


def _url(name: str, value: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  Reading the port is what checks it.
    except ValueError:
        raise SettingsError(f"CASEBOOK_{name}: {value!r} is not an address.") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise SettingsError(
            f"CASEBOOK_{name}: {value!r} does not begin with {' or '.join(s + '://' for s in schemes)}."
        )
    return value


def _database(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise SettingsError(
            f"CASEBOOK_DATABASE_URL: {value.split('@')[-1]!r} is neither sqlite:///FILE nor postgresql+psycopg://…"
        )
    return value


def _search(value: str) -> str:
    if value == "embedded:":
        return value
    hosts = [host.strip() for host in value.split(",")]
    return ",".join(_url("SEARCH_URL", host, ("http", "https")) for host in hosts)


def _prefix(value: str) -> str:
    if not (value.isascii() and value.replace("-", "").replace("_", "").isalnum() and value == value.lower()):
        raise SettingsError(f"CASEBOOK_SEARCH_PREFIX: {value!r} may hold small letters, digits, - and _ only.")
    return value


def _queue(value: str) -> str:
    if value == "embedded:" or value.startswith("unix://"):
        return value
    return _url("QUEUE_URL", value, ("redis", "rediss"))


def _mail(value: str, *, production: bool) -> str:
    if value == "folder:":
        return value
    if value == "off:" and not production:
        return value
    return _url("MAIL_URL", value, ("smtp", "smtps"))


def _secret(value: str, data_dir: Path, *, production: bool) -> str:
    if value:
        if production and len(value) < SHORTEST_SECRET:
            raise SettingsError(f"CASEBOOK_SECRET_KEY is shorter than {SHORTEST_SECRET} characters; make a longer one.")
        return value
    if production:
        raise SettingsError(
            "CASEBOOK_SECRET_KEY is required in production: "
            "make one with `python -c 'import secrets; print(secrets.token_urlsafe(48))'`."
        )
    return _kept_secret(data_dir)


def _kept_secret(data_dir: Path) -> str:
    """Make a secret once and keep it in the data folder, readable by its owner alone."""
    path = data_dir / KEY_FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = secrets.token_urlsafe(48)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(descriptor, "w") as file:
            file.write(made)
    except FileExistsError:
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"CASEBOOK_DATA_DIR: {str(data_dir)!r} cannot be written ({error.strerror}). "
            "Choose a folder that the portal's user may write."
        ) from None
    return made
