"""Mail waits in the database until somebody took it, and says nothing to whoever reads the database."""

import email
import email.policy
import smtplib
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller

from portal import extensions
from portal.extensions import db
from portal.mail import messages, transport
from portal.mail.models import Message
from portal.settings import SettingsError
from tests.servers import free_port

CONTEXT = {"name": "Alice", "inviter": "Fred", "token": "t" * 43, "minutes": 60}


class Sink:
    """A mail server that keeps what it takes, and refuses what it is told to."""

    def __init__(self):
        self.taken = []
        self.refusals = {}
        self.later = 0

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.later:
            self.later -= 1
            return "451 Try again later"
        self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def sink():
    taking = Sink()
    controller = Controller(taking, hostname="127.0.0.1", port=free_port())
    controller.start()
    taking.url = f"smtp://127.0.0.1:{controller.port}"
    yield taking
    controller.stop()


@pytest.fixture
def to_sink(app, sink, settings):
    use(app, settings, mail_url=sink.url)
    return sink


def use(app, settings, **changes):
    import dataclasses

    app.extensions["casebook.settings"] = dataclasses.replace(settings, **changes)


def queue(recipient="alice@example.com", **more):
    message = messages.queue(recipient, "invitation", **{**CONTEXT, **more})
    db.session.commit()
    return message


def later(monkeypatch, **span):
    real = messages.now
    for module in (messages, extensions):
        monkeypatch.setattr(module, "now", lambda: real() + timedelta(**span))


def test_a_mail_arrives_in_its_language(app, to_sink):
    message_id = queue(language="zh", name="王小明").message_id
    assert messages.deliver_due() == 1
    [mail] = to_sink.taken
    assert mail["Subject"] == "您的 Casebook 账号"
    assert mail["To"] == "alice@example.com"
    assert mail["Message-ID"] == message_id
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "王小明，您好" in mail.get_content()
    assert messages.deliver_due() == 0


def test_it_is_part_of_the_transaction_that_causes_it(app, to_sink):
    messages.queue("alice@example.com", "invitation", **CONTEXT)
    db.session.rollback()
    assert messages.deliver_due() == 0
    assert to_sink.taken == []


def test_the_database_does_not_tell_what_it_says(app, settings):
    queue(name="Canary Name", token="canary-token")
    db.session.remove()
    db.engine.dispose()
    stored = b"".join(path.read_bytes() for path in settings.data_dir.glob("casebook.sqlite3*"))
    assert b"invitation" in stored
    for canary in (b"alice@example.com", b"Canary Name", b"canary-token"):
        assert canary not in stored


def test_nothing_of_it_stays_once_it_is_sent(app, to_sink):
    queue()
    messages.deliver_due()
    message = db.session.query(Message).one()
    assert message.sent_at is not None
    assert message.sealed is None
    assert messages.open_letter(message) is None


def test_a_server_that_is_down_delays_and_loses_nothing(app, settings, sink, monkeypatch):
    use(app, settings, mail_url=f"smtp://127.0.0.1:{free_port()}")
    queue()
    assert messages.deliver_due() == 0
    message = db.session.query(Message).one()
    assert (message.attempts, message.leased_until) == (1, None)
    assert "cannot be reached" in message.last_error
    use(app, settings, mail_url=sink.url)
    assert messages.deliver_due() == 0, "It waits before it tries again."
    later(monkeypatch, seconds=31)
    assert messages.deliver_due() == 1
    assert len(sink.taken) == 1


def test_one_refused_mail_holds_up_no_other(app, to_sink):
    to_sink.refusals["nobody@example.com"] = "550 No such person as nobody@example.com"
    queue("nobody@example.com")
    queue("alice@example.com")
    assert messages.deliver_due() == 1
    refused = db.session.query(Message).filter(Message.sent_at.is_(None)).one()
    assert refused.last_error == "the mail server refused the recipient (550)"


@pytest.mark.thorough
def test_the_pause_grows_and_ends_with_the_operator(app, to_sink, monkeypatch):
    to_sink.later = 99
    queue()
    pauses = []
    for _ in range(messages.MOST_ATTEMPTS):
        messages.deliver_due()
        message = db.session.query(Message).one()
        pauses.append(timedelta(minutes=round((message.not_before - messages.now()).total_seconds() / 60, 1)))
        message.not_before = messages.now()
        db.session.commit()
    assert messages.deliver_due() == 0
    assert pauses == sorted(pauses)
    assert timedelta(hours=5) < pauses[-1] <= messages.LONGEST_PAUSE
    assert (messages.waiting_count(), messages.set_aside_count()) == (0, 1)


def test_two_workers_share_the_work(app, to_sink, monkeypatch):
    """While one worker hands a mail over, another passes it by; if the first dies, the other takes it up later."""
    message = queue()
    assert messages._lease(message.id) is not None
    assert messages.deliver_due() == 0
    later(monkeypatch, minutes=6)
    assert messages.deliver_due() == 1
    assert db.session.query(Message).one().attempts == 2


def test_a_mail_under_another_key_is_put_off_and_named(app, settings, to_sink):
    queue()
    use(app, settings, mail_url=to_sink.url, secret_key="another secret that is long enough")
    assert messages.deliver_due() == 0
    assert "CASEBOOK_SECRET_KEY" in db.session.query(Message).one().last_error


@pytest.mark.parametrize("name", ["x\r\nBcc: eve@example.com", "x\n\nBcc: eve@example.com"])
def test_nothing_slips_into_the_head(app, to_sink, name):
    queue(name=name)
    messages.deliver_due()
    [mail] = to_sink.taken
    assert mail["Bcc"] is None
    assert len(mail.get_all("To")) == 1


def test_development_keeps_mail_in_a_folder(app, settings):
    message = queue()
    assert messages.deliver_due() == 1
    [path] = (settings.data_dir / "mail").iterdir()
    assert path.name == message.message_id[1:].partition("@")[0] + ".eml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "http://127.0.0.1:8000/invitation/" in path.read_text()


def test_a_folder_that_cannot_be_written_is_said(app, settings):
    (settings.data_dir / "mail").write_text("in the way")
    queue()
    assert messages.deliver_due() == 0
    assert "cannot be written" in db.session.query(Message).one().last_error


def test_sent_mails_are_forgotten_after_a_month_and_waiting_ones_never(app, to_sink, monkeypatch):
    queue()
    messages.deliver_due()
    queue()
    assert messages.forget_old() == 0
    later(monkeypatch, days=31)
    assert messages.forget_old() == 1
    assert messages.waiting_count() == 1


def test_mail_may_be_off(app, settings):
    use(app, settings, mail_url="off:")
    queue()
    assert messages.deliver_due() == 1
    assert not (settings.data_dir / "mail").exists()


def test_a_password_is_not_sent_in_the_clear_to_another_machine(monkeypatch, sink):
    real = smtplib.SMTP
    monkeypatch.setattr(transport.smtplib, "SMTP", lambda _host, port, **more: real("127.0.0.1", port, **more))
    server = transport.Server(sink.url.replace("127.0.0.1", "user:secret@mail.example.com"))
    with pytest.raises(transport.DeliveryError, match="no encryption"):
        server.send(email.message.EmailMessage())
    server.close()


def test_a_template_without_a_subject_fails_its_first_use(app, monkeypatch):
    from jinja2 import DictLoader

    monkeypatch.setattr(app.jinja_env, "loader", DictLoader({"mail/bad.en.txt": "Hello"}))
    with pytest.raises(ValueError, match="Subject"):
        messages.queue("alice@example.com", "bad")


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "mail.example.com"])
def test_a_mail_address_that_cannot_be_used_stops_the_start(url, tmp_path):
    from portal.settings import Settings

    with pytest.raises(SettingsError, match="CASEBOOK_MAIL_URL"):
        Settings.from_environ({"CASEBOOK_MAIL_URL": url, "CASEBOOK_DATA_DIR": str(tmp_path)})
