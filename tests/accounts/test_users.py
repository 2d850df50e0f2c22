"""Accounts: what each change ends, and that every change stands in the audit log."""

import re
from datetime import timedelta

import pyotp
import pytest

from portal import audit
from portal.access import Role
from portal.accounts import second_factor, sessions, tokens, users, views
from portal.accounts.models import APIToken, OneTimeToken, User, UserSession
from portal.errors import Invalid, Missing, OperationError
from portal.extensions import db


def actions():
    return [entry.action for entry in db.session.query(audit.AuditEntry).order_by(audit.AuditEntry.id)]


def test_an_account_is_made_whole(app, people):
    user = users.create(
        name="  Grace   Hopper ", email=" Grace@Example.COM", role="agent", password="ships and bugs", by=None
    )
    assert (user.name, user.email, user.role) == ("Grace Hopper", "grace@example.com", "agent")
    assert "ships" not in (user.password_hash or "")
    assert user.password_hash.startswith("$argon2id$")
    assert actions() == ["user.created"]


def test_everything_wrong_is_named_at_once(app, people):
    with pytest.raises(Invalid) as refused:
        users.create(name=" ", email="no", role="king", locale="fr", password="short", by=None)
    assert set(refused.value.fields) == {"name", "email", "role", "locale", "password"}


@pytest.mark.parametrize("email", ["alice@example.com", "ALICE@example.com "])
def test_an_address_belongs_to_one_account(app, people, email):
    with pytest.raises(Invalid) as refused:
        users.create(name="Alice", email=email, role="customer", by=None)
    assert "already" in refused.value.fields["email"]


def test_an_unknown_customer_is_named(app, people):
    with pytest.raises(Invalid) as refused:
        users.create(name="Zoe", email="zoe@example.com", role="customer", customer_id=999, by=None)
    assert set(refused.value.fields) == {"customer_id"}


@pytest.mark.parametrize("password", ["short", "x" * 201, "password123", "aaaaaaaaaaaa", "alice@example.com"])
def test_passwords_that_anybody_would_try_are_refused(app, people, password):
    with pytest.raises(Invalid):
        users.set_password(people.alice.user, password, by=None)


def change_role(user, people):
    users.set_role(user, Role.EDITOR, customer_id=None, by=people.fred.viewer)


def change_company(user, people):
    users.set_role(user, user.role, customer_id=people.company_b, by=people.fred.viewer)


def change_password(user, people):
    users.set_password(user, "another long password", by=user.viewer)


def sign_out_everywhere(user, people):
    users.sign_out_everywhere(user, by=user.viewer)


def set_second_factor(user, people):
    second_factor.prepare(user)
    assert second_factor.confirm(user, pyotp.TOTP(second_factor.pending_secret(user)).now(), by=user.viewer)


def remove_second_factor(user, people):
    second_factor.remove(user, by=people.fred.viewer)


def renew_recovery_codes(user, people):
    second_factor.renew_recovery_codes(user, by=user.viewer)


def disable(user, people):
    users.disable(user, by=people.fred.viewer)


@pytest.mark.parametrize(
    "change",
    [
        change_role,
        change_company,
        change_password,
        set_second_factor,
        remove_second_factor,
        renew_recovery_codes,
        disable,
        sign_out_everywhere,
    ],
)
def test_a_change_of_what_somebody_may_do_ends_everything(app, people, client_for, token_for, change):
    alice, bob = client_for(people.alice), client_for(people.bob)
    remembered = sessions.start(people.alice.user, is_remembered=True)
    db.session.commit()
    program = token_for(people.alice)["Authorization"].split()[1]
    assert alice.get("/me").status_code == 200
    assert tokens.find(program) is not None
    change(people.alice.user, people)
    db.session.expire_all()
    assert alice.get("/me").status_code == 303
    assert sessions.find(remembered) is None
    assert tokens.find(program) is None
    assert bob.get("/me").status_code == 200
    assert next(audit.verify(), None) is None


def test_the_epoch_alone_voids_a_session_and_a_token_that_were_missed(app, people, token_for):
    """Somebody who signs in while their role is changed must not keep the older session."""
    kept = sessions.start(people.alice.user)
    db.session.commit()
    program = token_for(people.alice)["Authorization"].split()[1]
    people.alice.user.epoch += 1
    db.session.commit()
    assert sessions.find(kept) is None
    assert tokens.find(program) is None


def test_sessions_end_when_idle_and_when_old(app, people, monkeypatch):
    token = sessions.start(people.alice.user)
    long = sessions.start(people.alice.user, is_remembered=True)
    db.session.commit()
    real_now = sessions.now
    monkeypatch.setattr(sessions, "now", lambda: real_now() + sessions.SHORT.idle + timedelta(minutes=1))
    assert sessions.find(token) is None
    assert sessions.find(long) is not None
    monkeypatch.setattr(sessions, "now", lambda: real_now() + sessions.LONG.whole + timedelta(minutes=1))
    db.session.query(UserSession).update({"last_seen_at": sessions.now()})
    assert sessions.find(long) is None
    assert sessions.forget_old() == 2


def test_an_expired_or_revoked_token_opens_nothing(app, people):
    brief = tokens.create(people.carol.user, name="brief", by=None, lifetime=timedelta(seconds=-1))
    revoked = tokens.create(people.carol.user, name="revoked", by=None)
    tokens.revoke(db.session.query(APIToken).filter_by(name="revoked").one(), by=None)
    assert tokens.find(brief) is None
    assert tokens.find(revoked) is None
    assert tokens.find("cb_unknown") is None


def test_the_last_administrator_stays(app, people):
    for change in (
        lambda user: users.disable(user, by=None),
        lambda user: users.set_role(user, Role.AGENT, customer_id=None, by=None),
    ):
        with pytest.raises(Invalid, match="Nobody would be left"):
            change(people.fred.user)
        assert people.fred.user.is_active
        assert people.fred.user.role == "admin"
    users.set_role(people.carol.user, Role.ADMIN, customer_id=None, by=None)
    users.disable(people.fred.user, by=None)
    assert not people.fred.user.is_active


# Invitations and resets


def token_in(letter):
    return re.search(r"/(?:invitation|reset)/([\w-]{43})", letter.text).group(1)


def test_an_invitation_is_used_once(app, people, outgoing):
    user = users.invite(name="Zoe", email="zoe@example.com", role="agent", by=people.fred.viewer, locale="zh")
    [letter] = outgoing()
    assert letter.recipient == "zoe@example.com"
    assert "Fred为您创建了账号" in letter.text
    token = token_in(letter)
    row = db.session.query(OneTimeToken).one()
    assert token not in row.token_hash
    assert row.expires_at - row.created_at <= timedelta(minutes=60, seconds=1)
    with pytest.raises(Invalid):
        users.choose_password(token, "invitation", "short")
    with pytest.raises(Missing):
        users.choose_password(token, "reset", "a long enough one")
    assert users.choose_password(token, "invitation", "a long enough one").id == user.id
    with pytest.raises(Missing):
        users.choose_password(token, "invitation", "a long enough one")
    assert actions() == ["user.invited", "user.invitation_used"]


def test_another_invitation_voids_the_first(app, people, outgoing):
    user = users.invite(name="Zoe", email="zoe@example.com", role="agent", by=people.fred.viewer)
    users.send_invitation(user, by=people.fred.viewer)
    first, second = map(token_in, outgoing())
    assert tokens.owner_of(first, "invitation") is None
    assert tokens.owner_of(second, "invitation") is not None
    with pytest.raises(OperationError):
        users.send_invitation(people.carol.user, by=people.fred.viewer)


def test_a_reset_runs_out(app, people, outgoing, monkeypatch):
    assert users.ask_reset("ALICE@example.com")
    token = token_in(outgoing()[0])
    real_now = tokens.now
    monkeypatch.setattr(tokens, "now", lambda: real_now() + timedelta(minutes=31))
    assert tokens.owner_of(token, "reset") is None
    assert tokens.use(token, "reset") is None


def test_nobody_is_written_to_without_an_account(app, people, outgoing):
    users.disable(people.bob.user, by=None)
    assert not users.ask_reset("nobody@example.com")
    assert not users.ask_reset(people.bob.email)
    assert outgoing() == []


def test_links_are_built_from_the_settings(app, people, outgoing, monkeypatch):
    monkeypatch.setattr(views, "RESET_TAKES_S", 0)
    app.config["WTF_CSRF_ENABLED"] = False  # Its cookie belongs to another host.
    app.test_client().post("/reset", data={"email": people.alice.email}, headers={"Host": "evil.example"})
    [letter] = outgoing()
    assert "http://127.0.0.1:8000/reset/" in letter.text
    assert "evil" not in letter.text


def test_a_changed_password_is_told_by_mail_and_voids_open_resets(app, people, outgoing):
    users.ask_reset(people.alice.email)
    token = token_in(outgoing()[0])
    users.set_password(people.alice.user, "another long password", by=people.fred.viewer)
    assert tokens.owner_of(token, "reset") is None
    assert outgoing()[1].subject == "Your password was changed"


# The list


def test_the_list_is_searched_filtered_and_paged(app, people, monkeypatch):
    assert [user.name for user in users.load_page(words="ali").users] == ["Alice"]
    assert [user.name for user in users.load_page(words="car Carol@EXAMPLE.com").users] == ["Carol"]
    assert users.load_page(words="%").users == []
    assert [user.name for user in users.load_page(role="admin").users] == ["Fred"]
    users.disable(people.bob.user, by=None)
    assert [user.name for user in users.load_page(state="disabled").users] == ["Bob"]
    monkeypatch.setattr(users, "PAGE_SIZE", 4)
    last = users.load_page(page=99)
    assert (last.page, last.pages, last.total, len(last.users)) == (2, 2, 6, 2)


def test_commands_find_people_by_address_or_name(app, people):
    assert users.load_named("CAROL@example.com").id == people.carol.user_id
    assert users.load_named("carol").id == people.carol.user_id
    with pytest.raises(Missing):
        users.load_named("nobody")
    db.session.add(User(name="Carol", email="other@example.com", role="agent"))
    db.session.commit()
    with pytest.raises(OperationError, match="Several"):
        users.load_named("carol")
