"""Service records from imports: many at once, each line created, updated, left alone or refused, a batch at a time.

The same line again is recognised by its digest and changes nothing, not even what somebody changed here meanwhile.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from flask_babel import gettext as _
from sqlalchemy import insert, select
from sqlalchemy.orm import selectinload

from portal import audit, outbox
from portal.access import Role, Viewer
from portal.accounts.models import User
from portal.customers.batches import Outcome
from portal.customers.models import Customer
from portal.declared import Check, choice, extra, moment, text
from portal.extensions import db, now, twice_if_outrun
from portal.service.fields import LONGEST_TEXT, RULES, STAFF_ROLES
from portal.service.models import STATES, Entry, Record, record_tag
from portal.service.records import take_numbers
from portal.service.states import DONE
from portal.vocabulary.models import Category, Product, Tag
from portal.vocabulary.words import find_or_create

Word = TypeVar("Word", Category, Product)
_META_WORDS = ("customer", "product", "category")
_META_MOMENTS = ("created_at", "updated_at", "resolved_at", "closed_at")
_ALIASES = {"tag": "tags", "products": "product", "serial": "serial_number"}
_IMPORT_RULES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    **{name: RULES[name] for name in ("kind", "subject", "description", "language", "serial_number", "priority")},
    "state": (choice, {"choices": STATES}),
    "resolution": (text, {"most": LONGEST_TEXT}),
    "tags": RULES["tags"],
    **{name: (text, {"most": 200 if name == "customer" else 120, "is_line": True}) for name in _META_WORDS},
    **{name: (moment, {}) for name in _META_MOMENTS},
    "assignee": (text, {"most": 254, "is_line": True}),
    "requester": (text, {"most": 254, "is_line": True}),
}
MOST_ENTRIES = 1000


DEFAULTS: dict[str, Any] = {
    "kind": "request",
    "state": "closed",
    "priority": "normal",
    "description": "",
    "language": "en",
    "serial_number": "",
    "resolution": "",
    "customer_id": None,
    "requester_id": None,
    "assignee_id": None,
    "product_id": None,
    "category_id": None,
    "created_at": None,
    "updated_at": None,
    "resolved_at": None,
    "closed_at": None,
}
"""What a record is where its line says nothing: imports are past cases."""


class _Mark:
    """Stands for a record in the outbox where no object was loaded."""

    indexed_kind: ClassVar[str] = "record"

    def __init__(self, record_id: int) -> None:
        self.id = record_id


@dataclass(frozen=True, slots=True)
class _Step:
    """One imported entry, checked."""

    kind: str
    body: str
    at: datetime | None
    by: str
    author: str
    is_from_customer: bool
    old_state: str | None
    new_state: str | None


@dataclass(slots=True)
class _Line:
    external_id: str
    clean: dict[str, Any]
    meta: dict[str, Any]
    steps: list[_Step]
    digest: str = ""
    left_out: list[str] = field(default_factory=list)


def import_batch(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool = False
) -> list[Outcome]:
    """Make or update records from import lines `{"id", "title", "text", "lang", "url", "meta": {…}}`.

    A line's `id` is its external id, unique within the source.  `title` is the subject and `text` the description;
    `meta` may hold kind, state (closed when it is left out: imports are past cases), priority, customer (external id
    in the same source, or name), product, category, tags, serial_number, resolution, assignee and requester (e-mail of
    an account), created_at, updated_at, resolved_at, closed_at and
    entries (`{"kind": "reply"|"note"|"state", "body", "at", "by" (e-mail of an account), "author", "from":
    "customer"|"staff", "old_state", "new_state"}`); what else it holds is kept.

    A line equal to the one imported before changes nothing; a changed one updates the fields it names and adds the
    entries that are new.  Products, categories and tags that do not exist are made; a customer or account that does
    not exist is left out, kept in `meta` and named in the outcome.  Commits the whole batch with its outbox rows and
    one audit entry, or nothing with `dry_run`; a refused line loses no other.  Give batches of some hundred lines.
    """
    # Where somebody else imports one of these lines at the same moment it then exists, and a second try updates it.
    outcomes = twice_if_outrun(lambda: _import_lines(lines, source=source, by=by, dry_run=dry_run))
    outbox.nudge()
    return outcomes


@dataclass(frozen=True, slots=True)
class _Known:
    """What the lines of a batch speak of, by the names they use."""

    customers: Mapping[str, int]
    users: Mapping[str, User]
    products: Mapping[str, Product]
    categories: Mapping[str, Category]
    tags: Mapping[str, Tag]


def _import_lines(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool
) -> list[Outcome]:
    prepared = [_prepare(line) for line in lines]
    good = [one for one in prepared if isinstance(one, _Line)]
    known = _load_known(good, source)
    for line in good:
        _resolve(line, known)
    outcomes: dict[int, Outcome] = {}
    for turn in _without_doubles(good):
        _take(turn, known, source, outcomes)
    touched = [o.id for o in outcomes.values() if o.id is not None and o.outcome in ("created", "updated")]
    if touched:
        outbox.record(*(_Mark(record_id) for record_id in touched), bulk=True)
        audit.append("record.imported", by=by, kind="record", details={"source": source, "records": len(set(touched))})
    results = [Outcome("refused", None, one) if isinstance(one, str) else outcomes[id(one)] for one in prepared]
    if dry_run:
        db.session.rollback()
        return [replace(one, id=None) if one.outcome == "created" else one for one in results]
    db.session.commit()
    return results


def _without_doubles(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Divide lines into turns in which no external id occurs twice; a later turn finds what an earlier one wrote."""
    turn: dict[str, _Line] = {}
    for line in lines:
        if line.external_id in turn:
            yield list(turn.values())
            turn = {}
        turn[line.external_id] = line
    if turn:
        yield list(turn.values())


def _take(lines: Sequence[_Line], known: _Known, source: str, outcomes: dict[int, Outcome]) -> None:
    held = _load_held(source, [line.external_id for line in lines])
    for line in lines:
        record = held.get(line.external_id)
        if record is None:
            continue
        if record.digest == line.digest:
            outcomes[id(line)] = Outcome("unchanged", record.id)
        else:
            _update(record, line, known)
            outcomes[id(line)] = Outcome("updated", record.id, " ".join(line.left_out))
    new = [line for line in lines if line.external_id not in held]
    for line, record_id in zip(new, _insert(new, known, source), strict=True):
        outcomes[id(line)] = Outcome("created", record_id, " ".join(line.left_out))


def _insert(lines: Sequence[_Line], known: _Known, source: str) -> Sequence[int]:
    """Insert new records with entries and tags, three statements in all, and return their ids in order."""
    if not lines:
        return []
    rows = [
        {"number": number, "source": source, "external_id": line.external_id, "version": 1, **_values(line)}
        for number, line in zip(take_numbers(len(lines)), lines, strict=True)
    ]
    ids = db.session.scalars(insert(Record).returning(Record.id, sort_by_parameter_order=True), rows).all()
    written = list(zip(ids, rows, lines, strict=True))
    entries = [
        {"record_id": record_id, **_entry_values(step, row["created_at"], known)}
        for record_id, row, line in written
        for step in line.steps
    ]
    tags = [
        {"record_id": record_id, "tag_id": tag.id} for record_id, _row, line in written for tag in _tags(line, known)
    ]
    if entries:
        db.session.execute(insert(Entry), entries)
    if tags:
        db.session.execute(insert(record_tag), tags)
    return ids


def _update(record: Record, line: _Line, known: _Known) -> None:
    """Write what a changed line names, and add the entries that are new."""
    for name, value in _values(line).items():
        if name in line.clean or name in ("meta", "digest"):
            setattr(record, name, value)
    record.updated_at = line.clean.get("updated_at") or now()
    if "tags" in line.clean:
        record.tags = _tags(line, known)
    present = {_step_key(entry) for entry in record.entries}
    for step in line.steps:
        entry = Entry(**_entry_values(step, record.created_at, known))
        if _step_key(entry) not in present:
            record.entries.append(entry)


def _tags(line: _Line, known: _Known) -> list[Tag]:
    return list(dict.fromkeys(known.tags[name] for name in line.clean.get("tags") or ()))


def _values(line: _Line) -> dict[str, Any]:
    """Return the columns of a record that is new, every one of them."""
    values = DEFAULTS | {name: value for name, value in line.clean.items() if name != "tags"}
    created_at = values["created_at"] or now()
    steps_at = [step.at for step in line.steps if step.at is not None]
    updated_at = values["updated_at"] or max([created_at, *steps_at])
    resolved_at = values["resolved_at"] or (updated_at if values["state"] in DONE else None)
    return values | {
        "created_at": created_at,
        "updated_at": updated_at,
        "resolved_at": resolved_at,
        "meta": line.meta,
        "digest": line.digest,
    }


def _load_held(source: str, ids: Sequence[str]) -> dict[str, Record]:
    rows = db.session.scalars(
        select(Record)
        .where(Record.source == source, Record.external_id.in_(ids))
        .options(selectinload(Record.entries), selectinload(Record.tags))
    )
    return {str(record.external_id): record for record in rows}


def _load_known(lines: Sequence[_Line], source: str) -> _Known:
    def named(name: str) -> set[str]:
        return {line.clean[name] for line in lines if line.clean.get(name)}

    called = named("customer")
    customers: dict[str, int] = {}
    if called:
        by_name = select(Customer.name, Customer.id).where(Customer.name.in_(called)).order_by(Customer.id.desc())
        by_id = select(Customer.external_id, Customer.id).where(
            Customer.source == source, Customer.external_id.in_(called)
        )
        customers = {row[0]: row[1] for row in [*db.session.execute(by_name), *db.session.execute(by_id)]}
    addresses = named("assignee") | named("requester") | {step.by for line in lines for step in line.steps if step.by}
    wanted = {address.casefold() for address in addresses}
    users = db.session.scalars(select(User).where(User.with_email(*wanted))).all() if wanted else []
    return _Known(
        customers=customers,
        users={user.email: user for user in users},
        products=_load_words(Product, named("product")),
        categories=_load_words(Category, named("category")),
        tags=find_or_create(Tag, {tag for line in lines for tag in line.clean.get("tags") or ()}),
    )


def _load_words(model: type[Word], names: Collection[str]) -> dict[str, Word]:
    """Return categories or products by slug or name; what is neither is made under that name."""
    by_slug = {word.slug: word for word in db.session.scalars(select(model).where(model.slug.in_(names)))}
    return by_slug | find_or_create(model, sorted(set(names) - by_slug.keys()))


def _resolve(line: _Line, known: _Known) -> None:
    """Put ids in the place of names, and take the digest over what is then known of the line."""
    clean = line.clean
    for name, held in (("product", known.products), ("category", known.categories)):
        if name in clean:
            called = clean.pop(name)
            clean[f"{name}_id"] = held[called].id if called else None
    if called := clean.pop("customer", None):
        clean["customer_id"] = known.customers.get(called)
        if clean["customer_id"] is None:
            line.meta["customer"] = called
            line.left_out.append(
                _("There is no customer %(name)s; the record was taken without one.", name=repr(called))
            )
    for name in ("assignee", "requester"):
        if address := clean.pop(name, None):
            user = known.users.get(address.casefold())
            if user is None or (name == "assignee" and user.role not in STAFF_ROLES):
                line.meta[name] = address
                line.left_out.append(_("%(field)s: there is no account for it; it was left out.", field=name))
            else:
                clean[f"{name}_id"] = user.id
    authors = [known.users[step.by.casefold()].id for step in line.steps if step.by.casefold() in known.users]
    shape = json.dumps(
        [clean, line.meta, [_step_key(step) for step in line.steps], authors], sort_keys=True, default=str
    )
    line.digest = hashlib.sha256(shape.encode()).hexdigest()


def _step_key(step: _Step | Entry) -> tuple[str, str, str, str]:
    at = step.at.isoformat() if step.at is not None else ""
    return step.kind, at, hashlib.sha256(step.body.encode()).hexdigest(), step.new_state or ""


def _entry_values(step: _Step, created_at: datetime, known: _Known) -> dict[str, Any]:
    user = known.users.get(step.by.casefold()) if step.by else None
    return {
        "kind": step.kind,
        "body": step.body,
        "at": step.at or created_at,
        "by_id": user.id if user is not None else None,
        "author": step.author,
        "is_from_customer": user.role == Role.CUSTOMER if user is not None else step.is_from_customer,
        "is_internal": step.kind == "note",
        "old_state": step.old_state,
        "new_state": step.new_state,
    }


def _prepare(line: Mapping[str, Any]) -> _Line | str:
    """Return a checked line, or the sentence that refuses it."""
    check = Check()
    external_id = check.read("id", text, line.get("id"), most=200, required=True, is_line=True)
    meta = line.get("meta") or {}
    if not isinstance(meta, Mapping):
        return str(_("meta: This must be an object."))
    meta = {_ALIASES.get(str(name), str(name)): value for name, value in meta.items()}
    given = {"subject": line.get("title") or line.get("subject")}
    given |= {name: line[key] for name, key in (("description", "text"), ("language", "lang")) if line.get(key)}
    given |= {name: meta.pop(name) for name in list(meta) if name in _IMPORT_RULES and name not in given}
    if isinstance(given.get("product"), list) and given["product"]:
        # A record is about one product; the others are kept as they came.
        meta["products"] = given["product"]
        given["product"] = given["product"][0]
    clean = {}
    for name, value in given.items():
        if value not in (None, "") or name == "subject":
            rule, options = _IMPORT_RULES[name]
            clean[name] = check.read(name, rule, value, **options)
    steps = _prepare_steps(check, meta.pop("entries", None))
    if line.get("url"):
        meta["url"] = line["url"]
    kept = check.read("meta", extra, meta)
    if check.errors:
        return " ".join(f"{name}: {sentence}" for name, sentence in check.errors.items())
    return _Line(external_id or "", clean, kept or {}, steps)


def _prepare_steps(check: Check, value: object) -> list[_Step]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value) or len(value) > MOST_ENTRIES:
        check.refuse("entries", _("This must be a list of at most %(most)s objects.", most=MOST_ENTRIES))
        return []
    return [_prepare_step(check, f"entries {place}", one) for place, one in enumerate(value, start=1)]


def _prepare_step(check: Check, name: str, given: Mapping[str, Any]) -> _Step:
    state, old = given.get("new_state", given.get("state")), given.get("old_state")
    kind = check.read(f"{name} kind", choice, given.get("kind", "reply"), ("reply", "note", "state")) or ""
    return _Step(
        kind=kind,
        body=check.read(f"{name} body", text, given.get("body"), most=LONGEST_TEXT, required=kind != "state") or "",
        at=check.read(f"{name} at", moment, given.get("at")),
        by=check.read(f"{name} by", text, given.get("by"), most=254, is_line=True) or "",
        author=check.read(f"{name} author", text, given.get("author"), most=120, is_line=True) or "",
        is_from_customer=given.get("from") == "customer",
        old_state=check.read(f"{name} old_state", choice, old, STATES) if kind == "state" and old else None,
        new_state=check.read(f"{name} new_state", choice, state, STATES) if kind == "state" and state else None,
    )
