"""What production refuses to start with."""

import dataclasses
import secrets

import pytest

from portal.app import create_app
from portal.safety import debug_mode, refuse_unsafe
from portal.settings import Settings, SettingsError


@pytest.fixture
def production(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return Settings.from_environ(
        {
            "CASEBOOK_ENV": "production",
            "CASEBOOK_DATA_DIR": str(folder),
            "CASEBOOK_SECRET_KEY": secrets.token_urlsafe(48),
            "CASEBOOK_TRUSTED_HOSTS": "kb.example.com",
            "CASEBOOK_BASE_URL": "https://kb.example.com",
        }
    )


def test_a_safe_portal_starts(production):
    app = create_app(production)
    assert app.config["SESSION_COOKIE_SECURE"]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"secret_key": "short"}, "CASEBOOK_SECRET_KEY is shorter"),
        ({"secret_key": "x" * 60}, "CASEBOOK_SECRET_KEY is not random"),
        ({"secret_key": "changeme-secret-password-default-example"}, "CASEBOOK_SECRET_KEY is not random"),
        ({"base_url": "http://kb.example.com"}, "CASEBOOK_BASE_URL"),
    ],
)
def test_each_of_these_is_refused_by_name(production, changes, names):
    with pytest.raises(SettingsError, match=names):
        create_app(dataclasses.replace(production, **changes))


def test_open_data_is_refused(production):
    production.data_dir.chmod(0o755)
    with pytest.raises(SettingsError, match="chmod 700"):
        create_app(production)


def test_everything_is_said_at_once(production):
    production.data_dir.chmod(0o755)
    unsafe = dataclasses.replace(production, secret_key="x", base_url="http://kb.example.com")
    with pytest.raises(SettingsError) as refused:
        refuse_unsafe(unsafe, {"FLASK_DEBUG": "1"})
    assert str(refused.value).count("\n") == 4


@pytest.mark.parametrize(("value", "is_on"), [("1", True), ("true", True), ("0", False), ("", False), ("off", False)])
def test_debug_mode_is_told_by_its_variable(value, is_on):
    assert bool(debug_mode({"FLASK_DEBUG": value})) is is_on


def test_development_forgives(production):
    refuse_unsafe(dataclasses.replace(production, env="development", secret_key="x", base_url="http://localhost"))
