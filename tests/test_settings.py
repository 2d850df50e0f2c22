"""A bad setting stops the start with a sentence that names it."""

import stat
from pathlib import Path

import pytest

from portal.settings import KNOWN, Settings, SettingsError

SECRET = "s" * 40
PRODUCTION = {
    "CASEBOOK_ENV": "production",
    "CASEBOOK_SECRET_KEY": SECRET,
    "CASEBOOK_TRUSTED_HOSTS": "help.example.com",
    "CASEBOOK_BASE_URL": "https://help.example.com",
}


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = Settings.from_environ({"CASEBOOK_DATA_DIR": str(tmp_path), "HOME": "/somewhere"})
    assert (settings.host, settings.port, settings.env) == ("127.0.0.1", 8000, "development")
    assert settings.is_sqlite
    assert settings.is_embedded_queue
    assert settings.is_embedded_search
    assert settings.base_url == "http://127.0.0.1:8000"


def test_a_secret_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = (Settings.from_environ({"CASEBOOK_DATA_DIR": str(tmp_path)}) for _ in range(2))
    assert first.secret_key == second.secret_key
    assert len(first.secret_key) >= 32
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "80x"),
        ("PORT", "70000"),
        ("PORT", "８０００"),
        ("ENV", "staging"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("DATABASE_URL", "postgresql://localhost/x"),
        ("SEARCH_URL", "localhost:9200"),
        ("SEARCH_URL", "http://one:9200,ftp://two"),
        ("SEARCH_URL", "http://one:port"),
        ("SEARCH_PREFIX", "Case Book"),
        ("SEARCH_CA", "/nowhere/ca.pem"),
        ("QUEUE_URL", "amqp://localhost"),
        ("MAIL_URL", "http://localhost"),
        ("LIMITS", "maybe"),
        ("BASE_URL", "help.example.com"),
        ("WEB_WORKERS", "0"),
        ("PROXIES", "-1"),
        ("COLOUR", "red"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"CASEBOOK_{name}"):
        Settings.from_environ({"CASEBOOK_DATA_DIR": str(tmp_path), f"CASEBOOK_{name}": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("TRUSTED_HOSTS", ""),
        ("BASE_URL", ""),
        ("LIMITS", "off"),
    ],
)
def test_production_refuses_what_development_forgives(tmp_path: Path, name: str, value: str) -> None:
    environ = PRODUCTION | {"CASEBOOK_DATA_DIR": str(tmp_path)}
    assert Settings.from_environ(environ).is_production
    with pytest.raises(SettingsError, match=f"CASEBOOK_{name}"):
        Settings.from_environ(environ | {f"CASEBOOK_{name}": value})


def test_a_password_in_a_bad_address_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environ({"CASEBOOK_DATA_DIR": str(tmp_path), "CASEBOOK_DATABASE_URL": "mysql://me:geheim@db/x"})
    assert "geheim" not in str(refused.value)


def test_every_setting_has_its_variable() -> None:
    assert {name.removeprefix("CASEBOOK_").lower() for name in KNOWN} == set(Settings.__dataclass_fields__)
