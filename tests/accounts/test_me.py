"""What people do with their own account, through its pages."""

import re
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyotp
import pytest

from portal.accounts import limits, second_factor, sessions, tokens, views
from portal.accounts.models import APIToken, UserSession
from portal.extensions import db
from tests.people import PASSWORD, forget_used_codes

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def enrolled(app, people):
    """Carol with an authenticator: returns a function that gives the code of a step from now."""
    carol = people.carol.user
    second_factor.prepare(carol)
    totp = pyotp.TOTP(second_factor.pending_secret(carol))
    codes = second_factor.confirm(carol, totp.now(), by=carol.viewer)
    forget_used_codes(carol)
    db.session.commit()

    def code(step=0):
        return totp.generate_otp(int(time.time()) // second_factor.STEP_S + step)

    code.recovery, code.secret = codes, totp.secret
    return code


def first_step(client, email, **more):
    answer = client.post("/sign-in", data={"email": email, "password": PASSWORD} | more)
    found = re.search(r'name="code_token"[^>]*value="([\w-]+)"', answer.text)
    return answer, found.group(1) if found else None


def second_step(client, token, code, **more):
    return client.post("/sign-in/code", data={"code_token": token, "code": code, **more})


def test_the_password_alone_opens_nothing_with_a_second_factor(app, people, enrolled):
    client = app.test_client()
    answer, token = first_step(client, people.carol.email)
    assert answer.status_code == 200
    assert token
    assert client.get("/me").status_code == 303
    assert second_step(client, token, "000000").status_code == 422
    answer = second_step(client, token, enrolled(), next="/me", is_remembered="1")
    assert (answer.status_code, answer.location) == (303, "/me")
    assert client.get("/me").status_code == 200
    assert db.session.query(UserSession).one().is_remembered


def test_a_code_works_once(app, people, enrolled):
    code = enrolled()
    _, one = first_step(app.test_client(), people.carol.email)
    assert second_step(app.test_client(), one, code).status_code == 303
    _, other = first_step(app.test_client(), people.carol.email)
    assert second_step(app.test_client(), other, code).status_code == 422
    assert second_step(app.test_client(), other, enrolled(-1)).status_code == 422
    assert second_step(app.test_client(), other, enrolled(1)).status_code == 303
    assert db.session.query(UserSession).count() == 2


@pytest.fixture
def clock(monkeypatch):
    """The server's clock; what is added to `ahead` it is wrong by."""
    clock = SimpleNamespace(ahead=timedelta(0))
    for module in (limits, second_factor, sessions, tokens):
        monkeypatch.setattr(module, "now", lambda: NOON + clock.ahead)
    return clock


@pytest.mark.thorough
def test_a_clock_that_was_ahead_locks_nobody_out_and_gives_no_code_twice(app, people, enrolled, clock):
    totp = pyotp.TOTP(enrolled.secret)

    def give(moment):
        _, token = first_step(app.test_client(), people.carol.email)
        return second_step(app.test_client(), token, totp.at(moment)).status_code

    step, hour = timedelta(seconds=second_factor.STEP_S), timedelta(hours=1)
    assert give(NOON) == 303
    clock.ahead = hour
    assert [give(NOON + hour), give(NOON + hour + step)] == [303, 303]
    clock.ahead = timedelta(0)
    assert [give(NOON), give(NOON + hour)] == [422, 422], "used before the clock went wrong, and not of this time"
    assert [give(NOON + step), give(NOON + step), give(NOON)] == [303, 422, 422]
    clock.ahead = hour  # And now it really is an hour later.
    assert [give(NOON + hour), give(NOON + hour + step)] == [422, 422]
    clock.ahead = hour + 3 * step
    assert give(NOON + hour + 3 * step) == 303


def test_a_clock_that_was_ahead_leaves_no_lock(app, people, clock):
    def guess(password):
        return first_step(app.test_client(), people.alice.email, password=password)[0].status_code

    clock.ahead = timedelta(hours=1)
    assert [guess("wrong") for _ in range(6)] == [422] * 5 + [429]
    clock.ahead = timedelta(0)
    assert guess(PASSWORD) == 303


def test_the_first_step_works_once_and_runs_out(app, people, enrolled, monkeypatch):
    _, token = first_step(app.test_client(), people.carol.email)
    assert second_step(app.test_client(), token, enrolled()).status_code == 303
    assert second_step(app.test_client(), token, enrolled(1)).location == "/sign-in"
    assert second_step(app.test_client(), "", enrolled(1)).location == "/sign-in"


def test_a_recovery_code_stands_in_once(app, people, enrolled):
    typed = enrolled.recovery[0].upper().replace("-", " ")
    _, token = first_step(app.test_client(), people.carol.email)
    assert second_step(app.test_client(), token, typed).status_code == 303
    _, token = first_step(app.test_client(), people.carol.email)
    assert second_step(app.test_client(), token, typed).status_code == 422
    assert second_factor.recovery_codes_left(people.carol.user) == second_factor.RECOVERY_CODES - 1


@pytest.mark.thorough
def test_wrong_codes_are_limited(app, people, enrolled):
    _, token = first_step(app.test_client(), people.carol.email)
    answers = [second_step(app.test_client(), token, "000000").status_code for _ in range(7)]
    assert answers == [422] * 5 + [429] * 2
    assert second_step(app.test_client(), token, enrolled()).status_code == 429


def test_carol_sets_up_her_second_factor(app, people, client_for):
    client = client_for(people.carol)
    assert client.get("/me/second-factor/picture.svg").status_code == 404
    assert client.post("/me/second-factor", data={"present": "wrong"}).status_code == 422
    assert client.post("/me/second-factor", data={"present": PASSWORD}).status_code == 303
    page = client.get("/me/second-factor").text
    secret = re.search(r"<code>([A-Z2-7 ]+)</code>", page).group(1).replace(" ", "")
    assert secret.encode() not in people.carol.user.totp_pending
    picture = client.get("/me/second-factor/picture.svg")
    assert picture.mimetype == "image/svg+xml"
    assert "no-store" in picture.headers["Cache-Control"]
    assert client.post("/me/second-factor/confirmation", data={"code": "000000"}).status_code == 422
    done = client.post("/me/second-factor/confirmation", data={"code": pyotp.TOTP(secret).now()})
    assert len(re.findall(r"<code>(\w{5}-\w{5}-\w{5})</code>", done.text)) == second_factor.RECOVERY_CODES
    assert client.get("/me").status_code == 303


def test_the_second_factor_is_renewed_and_removed_with_the_password_only(app, people, client_for, enrolled):
    client = client_for(people.carol)
    for place in ("recovery-codes", "removal"):
        assert client.post(f"/me/second-factor/{place}", data={"present": "wrong"}).status_code == 422
    assert client.post("/me/second-factor/recovery-codes", data={"present": PASSWORD}).status_code == 200
    client = client_for(people.carol)
    assert client.post("/me/second-factor/removal", data={"present": PASSWORD}).location == "/sign-in"
    assert people.carol.user.totp_secret is None


def test_a_new_password_needs_the_present_one(app, people, client_for):
    client = client_for(people.alice)
    wrong = client.post("/me/password", data={"present": "wrong", "password": "another long password"})
    assert wrong.status_code == 422
    assert "This is not your password." in wrong.text
    short = client.post("/me/password", data={"present": PASSWORD, "password": "short"})
    assert short.status_code == 422
    assert "at least 10 characters" in short.text
    done = client.post("/me/password", data={"present": PASSWORD, "password": "another long password"})
    assert done.location == "/sign-in"
    assert "Your password is changed" in client.get("/sign-in").text
    answer = client.post("/sign-in", data={"email": people.alice.email, "password": "another long password"})
    assert answer.status_code == 303


def test_guessing_the_present_password_is_limited(app, people, client_for):
    client = client_for(people.alice)
    data = {"present": "wrong", "password": "another long password"}
    assert [client.post("/me/password", data=data).status_code for _ in range(6)] == [422] * 5 + [429]


def test_name_and_language_are_kept(app, people, client_for):
    client = client_for(people.alice)
    assert client.post("/me", data={"name": " Alice  A. ", "locale": "zh"}).status_code == 303
    assert (people.alice.user.name, people.alice.user.locale) == ("Alice A.", "zh")
    refused = client.post("/me", data={"name": "", "locale": "fr"})
    assert refused.status_code == 422
    assert people.alice.user.name == "Alice A."


def test_declared_fields_only(app, people, client_for):
    client = client_for(people.alice)
    data = {
        "name": "Alice",
        "locale": "",
        "role": "admin",
        "is_active": "",
        "customer_id": "2",
        "email": "x@example.com",
    }
    assert client.post("/me", data=data).status_code == 303
    alice = people.alice.user
    assert (alice.role, alice.customer_id, alice.email) == ("customer", people.company_a, "alice@example.com")


def test_a_session_is_ended_from_another(app, people, client_for):
    here, there, bob = client_for(people.alice), client_for(people.alice), client_for(people.bob)
    ids = [row.id for row in db.session.query(UserSession).filter_by(user_id=people.alice.user_id)]
    assert bob.post(f"/me/sessions/{ids[1]}/end").status_code == 404
    assert here.post(f"/me/sessions/{ids[1]}/end").status_code == 303
    assert there.get("/me").status_code == 303
    assert here.get("/me").status_code == 200


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML) Chrome/140 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140 Safari/537.36 Edg/140", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("curl/8.0", "curl/8.0"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ],
)
def test_browsers_are_called_as_people_do(app, people, agent, shown):
    client = app.test_client()
    data = {"email": people.alice.email, "password": PASSWORD}
    assert client.post("/sign-in", data=data, headers={"User-Agent": agent}).status_code == 303
    assert shown in client.get("/me").text


def test_signing_out_everywhere(app, people, client_for, token_for):
    here, there = client_for(people.alice), client_for(people.alice)
    headers = token_for(people.alice)
    assert here.post("/me/sessions/end").location == "/sign-in"
    assert there.get("/me").status_code == 303
    assert tokens.find(headers["Authorization"].split()[1]) is None


def test_a_token_is_shown_once_and_revoked(app, people, client_for):
    client, bob = client_for(people.alice), client_for(people.bob)
    made = client.post("/me/tokens", data={"label": "reporting", "days": "30"})
    token = re.search(r"cb_[\w-]{43}", made.text).group()
    row = db.session.query(APIToken).one()
    assert token not in client.get("/me").text
    assert "reporting" in client.get("/me").text
    assert tokens.find(token).user_id == people.alice.user_id
    assert bob.post(f"/me/tokens/{row.id}/revocation").status_code == 404
    assert client.post(f"/me/tokens/{row.id}/revocation").status_code == 303
    assert tokens.find(token) is None
    assert client.post("/me/tokens", data={"label": "", "days": "x"}).status_code == 422


@pytest.mark.parametrize("purpose", ["invitation", "reset"])
def test_a_link_sets_a_password_once(app, people, purpose):
    token = tokens.issue(people.alice.user, purpose)
    db.session.commit()
    client = app.test_client()
    address = f"/{purpose}/{token}"
    assert "alice@example.com" in client.get(address).text
    assert client.get(address).status_code == 200
    assert client.post(address, data={"password": "short"}).status_code == 422
    assert client.post(address, data={"password": "a long enough one"}).location == "/sign-in"
    assert client.get(address).status_code == 404
    assert client.post(address, data={"password": "another long one"}).status_code == 404
    assert (
        client.post("/sign-in", data={"email": people.alice.email, "password": "a long enough one"}).status_code == 303
    )


def test_asking_for_a_reset_is_answered_alike_and_limited(app, people, outgoing, monkeypatch):
    monkeypatch.setattr(views, "RESET_TAKES_S", 0)
    known, unknown = (
        [app.test_client().post("/reset", data={"email": email}) for _ in range(6)]
        for email in (people.alice.email, "nobody@example.com")
    )

    def plain(answer):
        return re.sub(r'value="[^"]*"', "", answer.text)

    assert [answer.status_code for answer in known] == [200] * 5 + [429]
    assert [plain(answer) for answer in known] == [plain(answer) for answer in unknown]
    assert len(outgoing()) == 5


def test_the_chosen_language_is_that_of_the_pages(app, people, client_for):
    client = client_for(people.alice)
    client.post("/me", data={"name": "Alice", "locale": "zh"})
    assert '<html lang="zh-Hans"' in client.get("/me").text
    assert '<html lang="en"' in client_for(people.bob).get("/me").text
