"""What production asks of accounts: a second factor of staff, and cookies that travel encrypted only."""

import secrets
from datetime import timedelta

import pyotp
import pytest

from portal.accounts import housekeeping, limits, second_factor, sessions, tokens
from portal.accounts.models import OneTimeToken, SignInAttempt, User, UserSession
from portal.extensions import db
from portal.settings import Settings
from tests.people import PASSWORD, forget_used_codes


@pytest.fixture
def settings(tmp_path):
    tmp_path.chmod(0o700)
    return Settings.from_environ(
        {
            "CASEBOOK_ENV": "production",
            "CASEBOOK_DATA_DIR": str(tmp_path),
            "CASEBOOK_SECRET_KEY": secrets.token_urlsafe(48),
            "CASEBOOK_TRUSTED_HOSTS": "localhost",
            "CASEBOOK_BASE_URL": "https://localhost",
        }
    )


@pytest.fixture
def client(app):
    made = app.test_client()
    app.config["WTF_CSRF_ENABLED"] = False  # The session is made over https; the helper of tests speaks http.
    return made


def post(client, path, data):
    return client.post(path, data=data, base_url="https://localhost")


def get(client, path):
    return client.get(path, base_url="https://localhost")


def sign_in(client, person):
    return post(client, "/sign-in", {"email": person.email, "password": PASSWORD})


def test_the_cookie_is_closed_to_scripts_and_plain_lines(client, people):
    cookie = sign_in(client, people.alice).headers["Set-Cookie"]
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie


def test_customers_need_no_second_factor(client, people):
    sign_in(client, people.alice)
    assert get(client, "/me").status_code == 200


@pytest.mark.parametrize("path", ["/", "/me", "/desk", "/search", "/records/new", "/nonsense"])
def test_staff_without_a_second_factor_reach_its_page_only(client, people, path):
    sign_in(client, people.carol)
    answer = get(client, path)
    assert (answer.status_code, answer.location) == (303, "/me/second-factor")
    assert post(client, "/me", {"name": "X"}).location == "/me/second-factor"


def test_the_api_says_why(client, people):
    sign_in(client, people.carol)
    answer = get(client, "/api/v1/records")
    assert answer.status_code == 403


@pytest.mark.thorough
def test_staff_set_it_up_and_work(client, people):
    sign_in(client, people.carol)
    assert get(client, "/me/second-factor").status_code == 200
    assert post(client, "/me/second-factor", {"present": PASSWORD}).status_code == 303
    assert get(client, "/me/second-factor/picture.svg").status_code == 200
    totp = pyotp.TOTP(second_factor.pending_secret(people.carol.user))
    assert post(client, "/me/second-factor/confirmation", {"code": totp.now()}).status_code == 200
    assert get(client, "/me").location.startswith("/sign-in")
    forget_used_codes(people.carol.user)
    db.session.commit()
    page = sign_in(client, people.carol).text
    token = page.split('name="code_token"')[1].split('value="')[1].split('"')[0]
    assert post(client, "/sign-in/code", {"code_token": token, "code": totp.now()}).status_code == 303
    assert get(client, "/me").status_code == 200


def test_staff_can_sign_out_without_it(client, people):
    sign_in(client, people.carol)
    assert post(client, "/sign-out", {}).status_code == 303
    assert db.session.query(UserSession).count() == 0


def test_other_hosts_are_not_answered(client):
    assert client.get("/sign-in", base_url="https://evil.example").status_code == 400


# Housekeeping


def test_what_has_run_out_is_cleared_away(app, people, monkeypatch):
    sessions.start(people.alice.user)
    tokens.issue(people.alice.user, "reset")
    db.session.commit()
    limits.count("password", account="a", address="192.0.2.1")
    housekeeping.forget_old()
    assert [db.session.query(model).count() for model in (UserSession, OneTimeToken, SignInAttempt)] == [1, 1, 3]
    real_now = sessions.now
    for module in (sessions, tokens, limits):
        monkeypatch.setattr(module, "now", lambda: real_now() + timedelta(days=90))
    housekeeping.forget_old()
    assert [db.session.query(model).count() for model in (UserSession, OneTimeToken, SignInAttempt)] == [0, 0, 0]


def test_last_seen_is_noted_now_and_then(client, people, monkeypatch):
    sign_in(client, people.alice)
    first = db.session.get_one(User, people.alice.user_id).last_seen_at
    get(client, "/me")
    assert db.session.get_one(User, people.alice.user_id).last_seen_at == first
    real_now = sessions.now
    monkeypatch.setattr(sessions, "now", lambda: real_now() + timedelta(minutes=6))
    get(client, "/me")
    assert db.session.get_one(User, people.alice.user_id).last_seen_at > first + timedelta(minutes=5)
