"""What must hold for accounts, mail and the audit log when many act at once, on both databases."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest

from portal import audit
from portal.accounts import second_factor, sign_in, tokens, users
from portal.accounts.limits import PER_ACCOUNT, TooManyAttempts, count
from portal.accounts.models import User
from portal.errors import Invalid, Missing
from portal.extensions import db
from portal.mail import messages
from tests.people import forget_used_codes

CALLER = sign_in.Caller(address="192.0.2.1")


@pytest.fixture
def settings(database_settings):
    return database_settings


@pytest.fixture
def at_once(app):
    """Call a function many times at once, each in a context of its own; returns how often it ended how."""

    def run(times, function):
        def one(number):
            with app.app_context():
                try:
                    return function(number)
                except (Invalid, Missing, TooManyAttempts) as error:
                    return type(error)

        with ThreadPoolExecutor(times) as pool:
            outcomes = Counter(pool.map(one, range(times)))
        db.session.expire_all()
        return outcomes

    return run


@pytest.mark.thorough
@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_fifty_guesses_at_once(at_once, people, email):
    def guess(number):
        caller = sign_in.Caller(address=f"198.51.100.{number}")
        return sign_in.with_password(email=email, password="wrong", caller=caller, is_remembered=False)

    assert at_once(50, guess) == {None: PER_ACCOUNT, TooManyAttempts: 50 - PER_ACCOUNT}


@pytest.mark.thorough
def test_counting_many_accounts_at_once_stops_nobody(at_once):
    counted = at_once(20, lambda number: bool(count("password", account=f"a{number}", address=f"192.0.2.{number}").ids))
    assert counted == {True: 20}


def test_one_link_sets_one_password(at_once, people):
    token = tokens.issue(people.alice.user, "reset")
    db.session.commit()
    outcomes = at_once(8, lambda number: users.choose_password(token, "reset", f"a long password {number}").id)
    assert outcomes == {people.alice.user_id: 1, Missing: 7}
    assert next(audit.verify(), None) is None


def test_one_code_signs_in_once(at_once, people):
    carol = people.carol.user
    second_factor.prepare(carol)
    totp = pyotp.TOTP(second_factor.pending_secret(carol))
    codes = second_factor.confirm(carol, totp.now(), by=carol.viewer)
    forget_used_codes(carol)
    db.session.commit()
    for code in (totp.now(), codes[0]):

        def give(_number, code=code):
            accepted = second_factor.accept(db.session.get_one(User, people.carol.user_id), code)
            db.session.commit()
            return accepted

        assert at_once(8, give) == {True: 1, False: 7}


def test_two_administrators_cannot_shut_each_other_out(at_once, people):
    users.set_role(people.erin.user, "admin", customer_id=None, by=None)
    both = (people.fred.user_id, people.erin.user_id)
    outcomes = at_once(2, lambda number: users.disable(db.session.get_one(User, both[number]), by=None))
    assert outcomes == {None: 1, Invalid: 1}
    assert db.session.query(User).filter_by(role="admin", is_active=True).count() == 1


def test_one_address_makes_one_account(at_once, people):
    def create(_number):
        return users.create(name="Zoe", email="zoe@example.com", role="agent", by=None).email

    assert at_once(8, create) == {"zoe@example.com": 1, Invalid: 7}


@pytest.mark.thorough
def test_workers_share_the_mail(at_once, app, settings, people):
    for number in range(30):
        messages.queue(f"user{number}@example.com", "password_changed", name="User")
    db.session.commit()
    taken = at_once(5, lambda _number: messages.deliver_due())
    assert sum(outcome * times for outcome, times in taken.items()) == 30
    assert len(list((settings.data_dir / "mail").iterdir())) == 30
    assert db.session.query(messages.Message.attempts).distinct().all() == [(1,)]


def test_one_chain_from_many_writers(at_once, people):
    def write(number):
        audit.append("thing.done", by=people.carol.viewer, object_id=number, details={"字": "值", "n": 1.5})
        db.session.commit()

    at_once(12, write)
    assert [entry.id for entry in db.session.query(audit.AuditEntry).order_by(audit.AuditEntry.id)] == list(
        range(1, 13)
    )
    assert list(audit.verify()) == []


@pytest.mark.parametrize("typed", ["", " ", "a\0b", "x" * 10_000, "\udcff@example.com", "%", "_", "\\", "'\"", "王"])
def test_odd_text_finds_nobody_and_breaks_nothing(app, people, typed):
    assert sign_in.find_user(typed) is None
    assert sign_in.with_password(email=typed, password=typed, caller=CALLER, is_remembered=False) is None
    assert users.ask_reset(typed) is False
    assert users.load_page(words=typed).total in (0, 6)
    assert tokens.find(typed) is None
    assert tokens.owner_of(typed, "reset") is None
