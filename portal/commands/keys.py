"""`casebook keys …`: the secret key that seals what must not lie open."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from sqlalchemy import func, or_, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm.exc import StaleDataError

from portal.accounts import users
from portal.accounts.models import User
from portal.commands.options import AS_JSON
from portal.customers import points
from portal.customers.models import ContactPoint
from portal.encryption import Sealed, is_outdated
from portal.extensions import db
from portal.mail import messages
from portal.mail.models import Message

BATCH = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A table with sealed columns, and how a row of it is sealed anew."""

    name: str
    columns: tuple[InstrumentedAttribute[Any], ...]
    reseal: Callable[[Any], None]

    @property
    def model(self) -> Any:
        """The class of its rows."""
        return self.columns[0].class_

    def count_outdated(self) -> int:
        """Count the rows that hold something sealed with an old secret key."""
        return db.session.scalar(select(func.count()).select_from(self.model).where(self._is_outdated())) or 0

    def rotate(self) -> int:
        """Seal a batch of such rows anew and commit; return how many."""
        rows = db.session.scalars(
            select(self.model).where(self._is_outdated()).order_by(self.model.id).limit(BATCH).with_for_update()
        ).all()
        for row in rows:
            self.reseal(row)
        try:
            db.session.commit()
        except StaleDataError:  # Somebody deleted one of them meanwhile; the next round sees which are left.
            db.session.rollback()
        return len(rows)

    def _is_outdated(self) -> Any:
        return or_(*map(is_outdated, self.columns))


PLACES = (
    Place("accounts", (User.email_sealed, User.totp_secret, User.totp_pending), users.reseal),
    Place("contact points", (ContactPoint.sealed,), points.reseal),
    Place("waiting mails", (Message.sealed,), messages.reseal),
)


@click.group("keys")
def keys_group() -> None:
    """The secret key that addresses, numbers, mails and second factors are sealed with."""


@keys_group.command("rotate")
@AS_JSON
def rotate(*, as_json: bool) -> None:
    """Seal everything with today's CASEBOOK_SECRET_KEY that one of CASEBOOK_OLD_SECRET_KEYS sealed.

    The portal may run meanwhile, and the command may be stopped and run again.  When it is done the old keys can go.
    """
    done = {}
    try:
        for place in PLACES:
            done[place.name] = place.count_outdated()
            while place.rotate():
                pass
    except Sealed as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(done))
    else:
        told = ", ".join(f"{count} {name}" for name, count in done.items())
        click.echo(f"Sealed anew: {told}. CASEBOOK_OLD_SECRET_KEYS can be unset now, in every process.")


commands = [keys_group]
