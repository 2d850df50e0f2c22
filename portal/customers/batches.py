"""Customers from imports: many at once, each line created, updated, left alone or refused, a batch at a time."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from portal import audit, outbox
from portal.access import Viewer
from portal.customers.contacts import ContactDraft, draft_of
from portal.customers.customers import record_ids
from portal.customers.fields import Words, apply, checked, load_words
from portal.customers.models import Contact, Customer
from portal.declared import extra, text
from portal.encryption import blind_index
from portal.errors import Invalid
from portal.extensions import db, now, twice_if_outrun

Status = Literal["created", "updated", "unchanged", "refused"]
_META_FIELDS = ("kind", "language", "region", "segment", "notes", "tags", "products", "emails", "phones", "contacts")
_ALIASES = {"email": "emails", "phone": "phones", "tag": "tags", "product": "products", "country": "region"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one imported line.  `reason` says why it was refused, or what was left out of it."""

    outcome: Status
    id: int | None = None
    reason: str = ""


def import_batch(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool = False
) -> list[Outcome]:
    """Make or update customers from import lines `{"id", "title" or "name", "text", "lang", "meta": {…}}`.

    A line's `id` is its external id, unique within the source.  `title` is the name and `text` the notes; `meta` may
    hold kind, region, segment, tags, products, emails, phones and contacts (`{"name", "job", "emails", "phones"}`);
    what else it holds is kept.  A line equal to the one imported before changes nothing, also where somebody edited
    the profile since.  Commits the whole batch with its outbox rows and one audit entry, or nothing with `dry_run`;
    a refused line loses no other.  Give batches of some hundred lines.
    """
    # Where somebody else imports one of these lines at the same moment it then exists, and a second try updates it.
    outcomes = twice_if_outrun(lambda: _import_lines(lines, source=source, by=by, dry_run=dry_run))
    outbox.nudge()
    return outcomes


def _import_lines(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool
) -> list[Outcome]:
    prepared = [_prepare(line) for line in lines]
    ids = [one.external_id for one in prepared if isinstance(one, _Line)]
    named = load_words(*[one.clean for one in prepared if isinstance(one, _Line)])
    held = _load_held(source, ids)
    done: list[tuple[Status, Customer | None, str]] = []
    touched: dict[str, Customer] = {}
    renamed: list[int] = []
    with db.session.no_autoflush:
        for one in prepared:
            if isinstance(one, str):
                done.append(("refused", None, one))
                continue
            customer = held.get(one.external_id)
            if customer is not None and customer.digest == one.digest:
                done.append(("unchanged", customer, ""))
                continue
            done.append(("updated" if customer is not None else "created", None, ""))
            if customer is None:
                customer = held[one.external_id] = Customer(source=source, external_id=one.external_id)
            elif customer.id is not None and customer.name != one.clean["name"]:
                renamed.append(customer.id)
            _write_line(customer, one, named)
            touched[one.external_id] = customer
            done[-1] = (done[-1][0], customer, "")
    db.session.add_all(touched.values())
    if touched:
        if renamed:
            outbox.record_where("record", record_ids(*renamed))
        outbox.record(*touched.values(), bulk=True)
        audit.append("customer.imported", by=by, kind="customer", details={"source": source, "customers": len(touched)})
    outcomes = [Outcome(status, customer.id if customer else None, reason) for status, customer, reason in done]
    if dry_run:
        db.session.rollback()
        return [Outcome(o.outcome, None if o.outcome == "created" else o.id, o.reason) for o in outcomes]
    db.session.commit()
    return outcomes


def _load_held(source: str, ids: Sequence[str]) -> dict[str, Customer]:
    rows = db.session.scalars(
        select(Customer)
        .where(Customer.source == source, Customer.external_id.in_(ids))
        .options(
            selectinload(Customer.contacts).selectinload(Contact.points),
            selectinload(Customer.tags),
            selectinload(Customer.products),
        )
    )
    return {str(customer.external_id): customer for customer in rows}


def _write_line(customer: Customer, line: "_Line", named: Words) -> None:
    clean = line.clean
    if "contacts" in clean:
        clean = {**clean, "contacts": _merged(customer, clean["contacts"])}
    apply(customer, clean, named)
    customer.meta, customer.digest, customer.updated_at = line.meta, line.digest, now()


@dataclass(frozen=True, slots=True)
class _Line:
    external_id: str
    clean: dict[str, Any]
    meta: dict[str, Any]
    digest: str


def _prepare(line: Mapping[str, Any]) -> "_Line | str":
    """Return a checked line, or the sentence that refuses it."""
    try:
        external_id = text(line.get("id"), most=200, required=True, is_line=True)
    except Invalid as refused:
        return f"id: {next(iter(refused.fields.values()))}"
    meta = line.get("meta") or {}
    if not isinstance(meta, Mapping):
        return str(_("meta: This must be an object."))
    meta = {_ALIASES.get(str(name), str(name)): value for name, value in meta.items()}
    fields: dict[str, Any] = {"kind": "company", "name": line.get("title") or line.get("name")}
    if line.get("text"):
        fields["notes"] = line["text"]
    if line.get("lang"):
        fields["language"] = line["lang"]
    fields |= {name: meta.pop(name) for name in _META_FIELDS if meta.get(name) not in (None, "")}
    try:
        if "contacts" in fields:
            fields["contacts"] = _drafts(fields["contacts"])
        clean = checked(fields, region="", is_new=True)
        kept = extra(meta)
    except Invalid as refused:
        return " ".join(f"{name}: {sentence}" if name else sentence for name, sentence in refused.fields.items())
    return _Line(external_id, clean, kept, _digest_of(clean, kept))


def _merged(customer: Customer, drafts: Sequence[ContactDraft]) -> list[ContactDraft]:
    """Match imported contacts with those of the same name; contacts that people added here are kept."""
    by_name = {contact.name: contact for contact in customer.contacts if contact.id is not None}
    matched = [replace(d, id=by_name.pop(d.name).id) if d.name in by_name else d for d in drafts]
    return matched + [draft_of(contact) for contact in by_name.values()]


def _drafts(value: object) -> list[ContactDraft]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise Invalid({"contacts": _("This must be a list of objects with name, job, emails and phones.")})
    return [
        ContactDraft(
            name=one.get("name", ""),
            job=one.get("job", ""),
            emails=one.get("emails", one.get("email")) or (),
            phones=one.get("phones", one.get("phone")) or (),
        )
        for one in value
    ]


def _digest_of(clean: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Return a keyed digest: contact data is in it, and few phone numbers exist that somebody could not try."""
    shape = json.dumps([clean, meta], sort_keys=True, default=_plain)
    return blind_index(hashlib.sha256(shape.encode()).hexdigest(), "import")


def _plain(value: Any) -> Any:
    return [value.name, value.job, list(value.emails), list(value.phones)]
