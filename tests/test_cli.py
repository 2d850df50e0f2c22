"""`casebook`: exit codes, sentences on stderr, pure JSON on stdout."""

import importlib
import json
import pkgutil

import click
import pytest
from sqlalchemy import text

from portal import audit, cli, commands
from portal.accounts import tokens, users
from portal.accounts.models import APIToken, User
from portal.commands import doctor as doctor_module
from portal.errors import Invalid
from portal.extensions import db
from portal.settings import SettingsError


def test_help_and_version_need_no_settings(monkeypatch, capsys):
    monkeypatch.setenv("CASEBOOK_NONSENSE", "1")
    assert cli.main(["--help"]) == 0
    assert "doctor" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert cli.main(["user", "add", "--help"]) == 0


def test_every_command_is_found_in_its_module():
    group = cli.build()
    found = {}
    for name in [module.name for module in pkgutil.iter_modules(commands.__path__)]:
        module = importlib.import_module(f"{commands.__name__}.{name}")
        for command in [*getattr(module, "commands", []), *getattr(module, "bare_commands", [])]:
            found[command.name] = name
            assert group.get_command(click.Context(group), command.name) is command
    assert found == cli.MODULES
    assert group.list_commands(click.Context(group)) == sorted(found)


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["user", "add"], ["user", "add", "X", "--email", "x@example.com", "--role", "king"]]
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error:" in captured.err


def test_a_bad_setting_ends_with_1_and_its_name(monkeypatch, capsys):
    monkeypatch.setenv("CASEBOOK_PORT", "eighty")
    assert cli.main(["user", "list"]) == 1
    assert "CASEBOOK_PORT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SettingsError("CASEBOOK_X is bad."), "CASEBOOK_X is bad."),
        (Invalid({"name": "Type a name."}), "Type a name."),
        (OSError(28, "No space left on device", "/data/x"), "No space left on device '/data/x'."),
        (click.ClickException("No."), "No."),
        (KeyboardInterrupt(), "Stopped."),
    ],
)
def test_what_can_be_foreseen_is_a_sentence(monkeypatch, capsys, error, sentence):
    def fail():
        raise error

    monkeypatch.setattr(cli, "build", lambda: click.Command("casebook", callback=fail))
    code = cli.main([])
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    captured = capsys.readouterr()
    assert (captured.out, sentence in captured.err) == ("", True)
    assert "Traceback" not in captured.err


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "build", lambda: click.Command("casebook", callback=fail))
    with pytest.raises(ZeroDivisionError):
        cli.main([])


def test_a_database_without_tables_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CASEBOOK_DATA_DIR", str(tmp_path))
    assert cli.main(["user", "list"]) == 1
    assert "Run `casebook init`" in capsys.readouterr().err


# user and token


def test_user_add_with_a_password(casebook, people):
    code, out, _ = casebook(
        "user", "add", "Grace Hopper", "--email", "grace@example.com", "--role", "customer",
        "--customer", str(people.company_a), "--password-stdin", "--json",
        stdin="ships and bugs\n",
    )  # fmt: skip
    assert code == 0
    made = json.loads(out)
    assert (made["email"], made["role"], made["customer_id"]) == ("grace@example.com", "customer", people.company_a)
    user = db.session.get_one(User, made["id"])
    assert user.password_hash.startswith("$argon2id$")


def test_user_add_without_a_password_invites(casebook, outgoing):
    code, out, _ = casebook("user", "add", "Grace", "--email", "grace@example.com", "--role", "admin")
    assert code == 0
    assert "invitation" in out
    assert [letter.recipient for letter in outgoing()] == ["grace@example.com"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "names"),
    [
        (["--email", "alice@example.com", "--role", "agent"], "", "already"),
        (["--email", "nonsense", "--role", "agent"], "", "e-mail address"),
        (["--email", "x@example.com", "--role", "agent", "--password-stdin"], "short\n", "10 characters"),
        (["--email", "x@example.com", "--role", "customer", "--customer", "999"], "", "999"),
    ],
)
def test_user_add_refuses_with_a_sentence(casebook, people, arguments, stdin, names):
    code, out, err = casebook("user", "add", "Grace", *arguments, stdin=stdin)
    assert (code, out) == (1, "")
    assert names in err
    assert db.session.query(User).count() == 6


def test_staff_belong_to_no_company(casebook, people):
    code, _, err = casebook("user", "add", "G", "--email", "g@example.com", "--role", "agent", "--customer", "1")
    assert code == 2
    assert "--customer" in err


def test_user_changes(casebook, people):
    assert casebook("user", "role", "carol", "editor")[0] == 0
    assert people.carol.user.role == "editor"
    assert casebook("user", "password", "carol@example.com", stdin="another long one\n")[0] == 0
    assert casebook("user", "disable", "carol")[0] == 0
    assert casebook("user", "enable", "carol")[0] == 0
    assert casebook("user", "reset-second-factor", "carol")[0] == 0
    code, _, err = casebook("user", "disable", "fred")
    assert code == 1
    assert "Nobody would be left" in err
    code, out, _ = casebook("user", "list", "--json")
    assert [user["name"] for user in json.loads(out)] == ["Alice", "Bob", "Carol", "Dora", "Erin", "Fred"]
    assert next(audit.verify(), None) is None


def test_a_token_is_printed_once_and_revoked(casebook, people):
    code, out, _ = casebook("token", "create", "carol", "--json")
    assert code == 0
    token = json.loads(out)["token"]
    assert tokens.find(token).user_id == people.carol.user_id
    plain = casebook("token", "create", "carol@example.com")[1].strip()
    assert tokens.find(plain) is not None
    code, out, _ = casebook("token", "revoke", "carol", "--json")
    assert (code, json.loads(out)) == (0, {"revoked": 2})
    assert tokens.find(token) is tokens.find(plain) is None
    assert casebook("token", "revoke", "carol", "--id", "1")[0] == 1
    assert casebook("token", "create", "nobody")[0] == 1
    assert db.session.query(APIToken).count() == 2


def test_a_disabled_user_gets_no_token(casebook, people):
    users.disable(people.carol.user, by=None)
    code, _, err = casebook("token", "create", "carol")
    assert code == 1
    assert "disabled" in err


# doctor


@pytest.fixture
def healthy(casebook, app, settings):
    """A portal that doctor finds well but for its index, which nobody has made."""
    settings.data_dir.chmod(0o700)
    users.create(name="Fred", email="fred@example.com", role="admin", password="a long password", by=None)
    return casebook


def doctor(run):
    code, out, err = run("doctor", "--json")
    report = json.loads(out)
    assert err == ""
    ill = {finding["name"]: finding["message"] for finding in report["findings"] if not finding["is_well"]}
    assert code == (1 if ill else 0)
    assert report["is_well"] is not bool(ill)
    return ill


def test_doctor_finds_an_edited_audit_log(healthy):
    assert "audit log" not in doctor(healthy)
    db.session.execute(text("UPDATE audit_entry SET action = 'user.disabled' WHERE id = 1"))
    db.session.commit()
    assert "entry 1: its fields were changed" in doctor(healthy)["audit log"]


def test_doctor_finds_nobody_who_administers(healthy):
    assert "accounts" not in doctor(healthy)
    db.session.execute(text('UPDATE "user" SET is_active = false'))
    db.session.commit()
    assert "casebook user add" in doctor(healthy)["accounts"]


def test_doctor_finds_open_data(healthy, settings):
    assert "data folder" not in doctor(healthy)
    settings.data_dir.chmod(0o755)
    assert "chmod 700" in doctor(healthy)["data folder"]


def test_doctor_finds_debug_mode(healthy, monkeypatch):
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert "FLASK_DEBUG" in doctor(healthy)["debug"]


def test_doctor_finds_a_database_without_tables(healthy, monkeypatch, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    monkeypatch.setenv("CASEBOOK_DATA_DIR", str(empty))
    ill = doctor(healthy)
    assert "casebook init" in ill["database"]
    assert "audit log" not in ill


def test_doctor_finds_a_full_disk(healthy, monkeypatch):
    monkeypatch.setattr(doctor_module, "SMALLEST_DISK", 10**18)
    assert "Make room" in doctor(healthy)["disk"]


def test_doctor_finds_mail_that_was_given_up(healthy):
    users.ask_reset("fred@example.com")
    db.session.execute(text("UPDATE message SET attempts = 99"))
    db.session.commit()
    assert "CASEBOOK_MAIL_URL" in doctor(healthy)["mail"]


def test_doctor_finds_an_absent_queue_and_engine(healthy, monkeypatch):
    monkeypatch.setenv("CASEBOOK_QUEUE_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CASEBOOK_SEARCH_URL", "http://127.0.0.1:1")
    ill = doctor(healthy)
    assert "CASEBOOK_QUEUE_URL" in ill["queue"]
    assert ill["search"]


def test_doctor_tells_everything_that_production_refuses(healthy, monkeypatch, settings):
    for name, value in {
        "ENV": "production", "SECRET_KEY": "x" * 40, "TRUSTED_HOSTS": "kb.example.com",
        "BASE_URL": "http://kb.example.com", "MAIL_URL": "folder:",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"CASEBOOK_{name}", value)
    settings.data_dir.chmod(0o755)
    monkeypatch.setenv("FLASK_DEBUG", "true")
    assert set(doctor(healthy)) == {"secret", "debug", "cookies", "data folder", "start"}


def test_doctor_speaks_a_line_each(healthy):
    _, out, _ = healthy("doctor")
    assert all(line.startswith(("ok   ", "BAD  ")) for line in out.splitlines())
    assert "ok   database" in out
