"""Guesses are counted before they are judged: many at once are no more than many in a row."""

import dataclasses
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from portal.accounts import limits, passwords, sign_in
from portal.accounts.limits import PER_ACCOUNT, TooManyAttempts, count, forgive
from portal.accounts.models import SignInAttempt
from portal.extensions import db
from tests.people import PASSWORD


def guess(app, email, password="wrong", address="192.0.2.1"):  # noqa: S107
    return app.test_client().post(
        "/sign-in", data={"email": email, "password": password}, environ_base={"REMOTE_ADDR": address}
    )


def test_the_account_is_locked_and_said_so(app, people):
    assert [guess(app, people.alice.email).status_code for _ in range(PER_ACCOUNT)] == [422] * PER_ACCOUNT
    answer = guess(app, people.alice.email, PASSWORD, address="198.51.100.7")
    assert answer.status_code == 429
    assert "There were too many attempts. Try again in 15 minutes." in answer.text
    assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert 'value="alice@example.com"' in answer.text
    assert guess(app, people.bob.email, PASSWORD).status_code == 303


def test_an_unknown_account_is_locked_alike(app, people):
    answers = [guess(app, "nobody@example.com") for _ in range(PER_ACCOUNT + 1)]
    known = [guess(app, people.alice.email) for _ in range(PER_ACCOUNT + 1)]
    assert [a.status_code for a in answers] == [a.status_code for a in known]
    assert {a.headers.get("Retry-After") is None for a in answers[:-1]} == {True}


def test_a_right_guess_forgets_the_wrong_ones(app, people):
    for _ in range(3):
        for _ in range(PER_ACCOUNT - 1):
            guess(app, people.alice.email)
        assert guess(app, people.alice.email, PASSWORD).status_code == 303


def test_the_lock_opens_by_itself(app, people, monkeypatch):
    for _ in range(PER_ACCOUNT + 1):
        guess(app, people.alice.email)
    real_now = limits.now
    monkeypatch.setattr(limits, "now", lambda: real_now() + limits.WINDOW + timedelta(seconds=1))
    assert guess(app, people.alice.email, PASSWORD).status_code == 303


def test_one_address_cannot_try_many_accounts(app, monkeypatch):
    monkeypatch.setattr(limits, "PER_ADDRESS", 7)
    for number in range(7):
        count("password", account=f"user{number}", address="192.0.2.1")
    with pytest.raises(TooManyAttempts):
        count("password", account="another", address="192.0.2.1")
    count("password", account="another", address="192.0.2.2")


def test_an_ipv6_network_is_one_address(app, monkeypatch):
    monkeypatch.setattr(limits, "PER_ADDRESS", 2)
    count("password", account="a", address="2001:db8:1:2::1")
    count("password", account="b", address="2001:db8:1:2:ffff::9")
    with pytest.raises(TooManyAttempts):
        count("password", account="c", address="2001:db8:1:2:3::")
    count("password", account="c", address="2001:db8:1:3::1")


def test_all_addresses_together_have_a_limit(app, monkeypatch):
    monkeypatch.setattr(limits, "IN_TOTAL", 3)
    for number in range(3):
        count("password", account=f"user{number}", address=f"192.0.2.{number}")
    with pytest.raises(TooManyAttempts):
        count("password", account="another", address="192.0.2.77")


def test_forgiving_leaves_others_counts(app):
    count("password", account="a", address="192.0.2.1")
    right = count("password", account="b", address="192.0.2.1")
    forgive(right)
    db.session.commit()
    assert Counter(row.bucket.partition(":")[0] for row in db.session.query(SignInAttempt)) == {
        "account": 1,
        "address": 1,
        "all": 1,
    }


def test_names_and_addresses_are_not_kept(app):
    count("password", account="alice@example.com", address="192.0.2.1")
    kept = " ".join(f"{row.bucket} {row.reason}" for row in db.session.query(SignInAttempt))
    assert "alice" not in kept
    assert "192.0.2" not in kept


@pytest.mark.thorough
@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_fifty_guesses_at_once(app, people, monkeypatch, email):
    judged = []
    real = passwords.is_right
    monkeypatch.setattr(sign_in.passwords, "is_right", lambda *given: judged.append(1) or real(*given))

    def one(number):
        return guess(app, email, address=f"198.51.100.{number}").status_code

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(one, range(50)))
    assert answers == {422: PER_ACCOUNT, 429: 50 - PER_ACCOUNT}
    assert len(judged) == PER_ACCOUNT


@pytest.mark.thorough
def test_an_unknown_name_takes_as_long(app, people, monkeypatch, dear_passwords):
    """The password is verified in both cases; without it, an unknown name would take a thirtieth."""
    monkeypatch.setattr(limits, "PER_ACCOUNT", 1000)
    people.alice.user.password_hash = passwords.hash_of(PASSWORD)
    db.session.commit()

    def took(email):
        began = time.thread_time()
        assert (
            sign_in.with_password(
                email=email, password="wrong", caller=sign_in.Caller(address="192.0.2.1"), is_remembered=False
            )
            is None
        )
        return time.thread_time() - began

    times = [(took(people.alice.email), took("nobody@example.com")) for _ in range(9)]
    known, unknown = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.5 < unknown / known < 2


def test_the_hash_of_nobody_costs_as_much_as_todays(dear_passwords):
    assert not passwords.is_outdated(passwords.NOBODYS)
    assert not passwords.is_right("anything", None)


def test_an_old_hash_is_renewed_at_sign_in(app, people, dear_passwords):
    assert passwords.is_outdated(people.alice.user.password_hash)
    assert guess(app, people.alice.email, PASSWORD).status_code == 303
    assert not passwords.is_outdated(people.alice.user.password_hash)
    assert guess(app, people.alice.email, PASSWORD).status_code == 303


def test_limits_may_be_off_for_measuring(app, people):
    app.extensions["casebook.settings"] = dataclasses.replace(app.extensions["casebook.settings"], limits=False)
    assert {guess(app, people.alice.email).status_code for _ in range(PER_ACCOUNT + 3)} == {422}
