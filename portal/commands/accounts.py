"""`casebook user …` and `casebook token …`: accounts from the command line, as the system itself."""

import json
import sys
from datetime import timedelta

import click

from portal.access import Role
from portal.accounts import second_factor, tokens, users
from portal.accounts.models import User
from portal.commands.options import AS_JSON
from portal.extensions import db

ROLE = click.Choice([role.value for role in users.ROLES])


@click.group("user")
def user_group() -> None:
    """Make, list and change accounts.  NAME is an e-mail address, or a name that only one account has."""


@user_group.command("add")
@click.argument("name")
@click.option("--email", required=True, help="The address to sign in with.")
@click.option("--role", type=ROLE, required=True)
@click.option("--customer", "customer_id", type=int, help="The company of a customer, by its number.")
@click.option("--language", type=click.Choice(users.LOCALES), help="Of the pages and mails. Default: the browser's.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@AS_JSON
def add(
    *,
    name: str,
    email: str,
    role: str,
    customer_id: int | None,
    language: str | None,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Make an account called NAME.  Without a password its owner gets an invitation by mail."""
    if customer_id is not None and role != Role.CUSTOMER:
        raise click.UsageError("--customer goes with --role customer only: staff belong to no company.")
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        user = users.create(
            name=name, email=email, role=role, customer_id=customer_id, password=password, locale=language, by=None
        )
    else:
        user = users.invite(name=name, email=email, role=role, customer_id=customer_id, locale=language, by=None)
    if as_json:
        click.echo(json.dumps(_facts(user), ensure_ascii=False))
    elif password_stdin:
        click.echo(f"Made {user.role} {user.name!r}, who signs in as {user.email}.")
    else:
        click.echo(
            f"Made {user.role} {user.name!r}. An invitation to {user.email} is on its way; it works for an hour."
        )


@user_group.command("list")
@AS_JSON
def list_users(*, as_json: bool) -> None:
    """List all accounts."""
    found = db.session.query(User).order_by(User.id).yield_per(500)
    if as_json:
        click.echo(json.dumps([_facts(user) for user in found], ensure_ascii=False))
        return
    for user in found:
        state = "" if user.is_active else "  (disabled)"
        click.echo(f"{user.id:>6}  {user.role:<9} {user.email}  {user.name}{state}")


@user_group.command("role")
@click.argument("name")
@click.argument("role", type=ROLE)
@click.option("--customer", "customer_id", type=int, help="The company of a customer, by its number.")
def set_role(*, name: str, role: str, customer_id: int | None) -> None:
    """Give NAME another role; they are signed out everywhere."""
    user = users.load_named(name)
    users.set_role(user, role, customer_id=customer_id, by=None)
    click.echo(f"{user.email} is {user.role} now and signed out everywhere.")


@user_group.command("password")
@click.argument("name")
def set_password(*, name: str) -> None:
    """Set NAME's password to the first line of standard input; they are signed out everywhere."""
    user = users.load_named(name)
    users.set_password(user, sys.stdin.readline().rstrip("\r\n"), by=None)
    click.echo(f"{user.email} has a new password and is signed out everywhere.")


@user_group.command("disable")
@click.argument("name")
def disable(*, name: str) -> None:
    """Shut NAME's account; they are signed out everywhere and their API tokens are void."""
    user = users.load_named(name)
    users.disable(user, by=None)
    click.echo(f"{user.email} is disabled.")


@user_group.command("enable")
@click.argument("name")
def enable(*, name: str) -> None:
    """Open NAME's disabled account again."""
    user = users.load_named(name)
    users.enable(user, by=None)
    click.echo(f"{user.email} is active.")


@user_group.command("reset-second-factor")
@click.argument("name")
def reset_second_factor(*, name: str) -> None:
    """Take the second factor from NAME, who lost it; they are signed out everywhere."""
    user = users.load_named(name)
    second_factor.remove(user, by=None)
    click.echo(f"{user.email} has no second factor now and is signed out everywhere.")


@click.group("token")
def token_group() -> None:
    """Make and revoke API tokens.  NAME is the user a token acts for: an e-mail address or a name."""


@token_group.command("create")
@click.argument("name")
@click.option("--label", default="command line", show_default=True, help="What the token is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="How long it works. Default: until it is revoked.")
@AS_JSON
def create_token(*, name: str, label: str, days: int | None, as_json: bool) -> None:
    """Print a token that may do what user NAME may.  It is shown this once."""
    user = users.load_named(name)
    if not user.is_active:
        raise click.ClickException(f"{user.email} is disabled; `casebook user enable {user.email}` comes first.")
    token = tokens.create(user, name=label, by=None, lifetime=timedelta(days=days) if days else None)
    click.echo(json.dumps({"token": token, "user": user.email, "role": user.role}) if as_json else token)


@token_group.command("revoke")
@click.argument("name")
@click.option("--id", "token_id", type=int, help="One token, by its number. Default: all of the user's.")
@AS_JSON
def revoke_tokens(*, name: str, token_id: int | None, as_json: bool) -> None:
    """Void the API tokens of user NAME."""
    user = users.load_named(name)
    found = [token for token in tokens.tokens_of(user) if token_id in (None, token.id)]
    if token_id is not None and not found:
        raise click.ClickException(f"{user.email} has no valid token {token_id}.")
    for token in found:
        tokens.revoke(token, by=None)
    click.echo(json.dumps({"revoked": len(found)}) if as_json else f"{len(found)} revoked.")


def _facts(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "customer_id": user.customer_id,
        "is_active": user.is_active,
    }


commands = [user_group, token_group]
