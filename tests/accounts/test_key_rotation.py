"""A portal gets another secret key: nobody is locked out, and nothing stays under the old one."""

import dataclasses
import json

import pyotp
import pytest
from sqlalchemy import select

from portal import cli
from portal.accounts import second_factor, sign_in
from portal.accounts.models import User
from portal.customers import customers
from portal.customers.models import ContactPoint
from portal.encryption import Sealed
from portal.extensions import db
from portal.mail import messages
from tests.people import PASSWORD

CALLER = sign_in.Caller(address="192.0.2.1")


@pytest.fixture
def give_key(app, settings):
    """Restart the portal, as it were, with a new secret key and, unless told otherwise, the old one beside it."""

    def give(*, old: tuple[str, ...] = (settings.secret_key,)) -> None:
        app.extensions["casebook.settings"] = dataclasses.replace(
            settings, secret_key="quite another key, forty letters or more", old_secret_keys=old
        )
        db.session.expire_all()

    return give


@pytest.fixture
def held(people):
    """A contact with a number, a waiting mail and a second factor, all sealed with the first key."""
    customers.create(
        by=people.carol.viewer,
        kind="company",
        name="Gamma",
        emails=["desk@gamma.example"],
        phones=["+44 20 7946 0018"],
    )
    messages.queue(people.alice.email, "password_changed", name="Alice")
    second_factor.prepare(people.carol.user)
    secret = second_factor.pending_secret(people.carol.user)
    assert secret is not None
    second_factor.confirm(people.carol.user, pyotp.TOTP(secret).now(), by=people.carol.viewer)
    return secret


@pytest.fixture
def rotate(app, settings, monkeypatch, capsys):
    """Run the command on this portal with the keys that it has now; returns (exit code, counts, what it says)."""

    def run():
        present = app.extensions["casebook.settings"]
        monkeypatch.setenv("CASEBOOK_DATA_DIR", str(settings.data_dir))
        monkeypatch.setenv("CASEBOOK_SECRET_KEY", present.secret_key)
        monkeypatch.setenv("CASEBOOK_OLD_SECRET_KEYS", ",".join(present.old_secret_keys))
        capsys.readouterr()
        code = cli.main(["keys", "rotate", "--json"])
        db.session.expire_all()
        said = capsys.readouterr()
        return code, json.loads(said.out or "{}"), said.err

    return run


def test_people_sign_in_before_and_after_the_rotation(held, people, give_key, rotate) -> None:
    for prepare in (give_key, rotate, lambda: give_key(old=())):
        prepare()
        assert sign_in.with_password(email=people.bob.email, password=PASSWORD, caller=CALLER, is_remembered=False)
        assert customers.look_up(people.carol.viewer, "+442079460018")
    assert db.session.scalars(select(User.id).where(User.with_email(people.bob.email))).all() == [people.bob.user_id]


def test_everything_is_sealed_anew_and_counted(held, people, give_key, rotate) -> None:
    give_key()
    code, counted, _ = rotate()
    assert code == 0
    assert counted == {"accounts": 6, "contact points": 2, "waiting mails": 1}
    assert rotate()[1] == dict.fromkeys(counted, 0)
    give_key(old=())
    assert {user.email for user in db.session.scalars(select(User))} >= {people.alice.email, people.fred.email}
    assert people.carol.user.totp_secret is not None
    assert second_factor._opened(people.carol.user, "totp_secret", people.carol.user.totp_secret) == held


def test_without_the_old_key_nothing_is_touched(held, give_key, rotate) -> None:
    give_key(old=())
    before = db.session.scalars(select(ContactPoint.sealed)).all()
    code, _, said = rotate()
    assert (code, "CASEBOOK_OLD_SECRET_KEYS" in said) == (1, True)
    assert db.session.scalars(select(ContactPoint.sealed)).all() == before
    with pytest.raises(Sealed):
        _ = db.session.scalars(select(User)).first().email


@pytest.mark.thorough
def test_no_table_holds_an_address_in_the_open(held, people, app) -> None:
    found = [
        (table.name, column.name)
        for table in db.metadata.sorted_tables
        for column in table.columns
        for value in db.session.scalars(select(column))
        if b"@example.com" in (value if isinstance(value, bytes) else str(value).encode())
        or b"@gamma.example" in (value if isinstance(value, bytes) else str(value).encode())
    ]
    assert found == []
