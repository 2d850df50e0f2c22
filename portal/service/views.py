"""The pages of service: asking, one's own requests, the desk, and a record with all that is done to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.access import Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.attachments import download
from portal.attachments.models import Attachment
from portal.customers import contacts, customers
from portal.customers.models import Customer
from portal.customers.views import show_beside
from portal.errors import Conflict, Invalid, Missing
from portal.knowledge.models import Article
from portal.search import log as search_log
from portal.service import bulk_views, entries, links, presence, presence_views, queues, reading, records, states
from portal.service.beside import Beside, find_answers, find_similar
from portal.service.forms import (
    PRIORITY_NAMES,
    STATE_NAMES,
    AskForm,
    BulkForm,
    DetailsForm,
    EntryForm,
    ResolutionForm,
    as_choices,
    details_of,
    show_errors,
    staff_choices,
)
from portal.service.models import Entry, Record
from portal.service.queues import DESK, OWN

blueprint = Blueprint("service", __name__)
RECORD = "/records/<string:number>"


# Asking


@blueprint.get("/ask")
@needs(Permission.ASK)
def ask() -> ResponseReturnValue:
    """Show the form; words of a search that found nothing are kept in it.  Staff open records for callers instead."""
    if current_viewer().is_staff:
        return redirect(url_for("service.new_record"))
    form = AskForm.build(current_viewer(), data={"subject": request.args.get("subject", "")[:300]})
    return _ask_page(form)


@blueprint.post("/ask")
@needs(Permission.ASK)
def send_request() -> ResponseReturnValue:
    """Open a record, or look for answers first."""
    viewer = current_viewer()
    form = AskForm.build(viewer)
    if "look" in request.form:
        return _ask_page(form)
    try:
        record = records.create(by=viewer, submission=form.submission.data, files=form.uploads(), **form.fields())
    except Invalid as invalid:
        show_errors(form, invalid)
        return _ask_page(form), 422
    if viewer.user_id is not None and not viewer.is_staff:
        search_log.note_request(viewer.user_id, record.id)
    flash(
        gettext("We have your request. Its number is %(number)s; we answer here and by e-mail.", number=record.number),
        "success",
    )
    return _to(record)


@blueprint.get("/ask/answers")
@needs(Permission.ASK)
def answers() -> ResponseReturnValue:
    """Show the articles that may answer a subject: a part of the page, fetched while it is typed."""
    beside = find_answers(current_viewer(), request.args.get("subject", ""))
    return render_template("service/_answers.html", beside=beside)


def _ask_page(form: AskForm) -> str:
    viewer = current_viewer()
    return render_template(
        "service/ask.html",
        form=form,
        beside=find_answers(viewer, form.subject.data or ""),
        profile=customers.own(viewer),
    )


@blueprint.get("/requests")
@needs(Permission.ASK)
def own_requests() -> ResponseReturnValue:
    """List a customer's records; staff have the desk."""
    viewer = current_viewer()
    if viewer.is_staff:
        return redirect(url_for("service.desk"))
    page = queues.load_page(
        viewer,
        OWN,
        request.args.get("queue", "open"),
        sort=request.args.get("sort", queues.DEFAULT_SORT),
        page=_page_number(),
    )
    return render_template("service/requests.html", page=page, queues=OWN)


# The desk


@blueprint.get("/desk")
@needs(Permission.WORK_RECORDS)
def desk() -> ResponseReturnValue:
    """Show a queue with its counts."""
    viewer = current_viewer()
    page = queues.load_page(
        viewer,
        DESK,
        request.args.get("queue", "unassigned"),
        sort=request.args.get("sort", queues.DEFAULT_SORT),
        page=_page_number(),
        product=request.args.get("product", ""),
    )
    return render_template(
        "service/desk.html",
        page=page,
        queues=DESK,
        products=queues.count_products(viewer),
        form=BulkForm.build(formdata=None) if page.items else None,
    )


@blueprint.get("/records")
@needs(Permission.ASK)
def record_list() -> ResponseReturnValue:
    """Lead to the list that is this viewer's."""
    return redirect(url_for("service.desk" if current_viewer().is_staff else "service.own_requests"))


# New records for callers


@blueprint.get("/records/new")
@needs(Permission.WORK_RECORDS)
def new_record() -> ResponseReturnValue:
    """Look the caller up, then fill in the record."""
    viewer = current_viewer()
    customer = _chosen_customer(viewer, request.args.get("customer", ""))
    form = _details_form(viewer, customer, data={"customer_id": str(customer.id) if customer else ""})
    return _new_page(form, customer)


@blueprint.post("/records/new")
@needs(Permission.WORK_RECORDS)
def open_record() -> ResponseReturnValue:
    """Open a record for a caller."""
    viewer = current_viewer()
    customer = _chosen_customer(viewer, request.form.get("customer_id", ""))
    form = _details_form(viewer, customer)
    try:
        record = records.create(by=viewer, submission=form.submission.data, **form.fields())
    except Invalid as invalid:
        show_errors(form, invalid)
        return _new_page(form, customer), 422
    flash(gettext("%(number)s is open.", number=record.number), "success")
    return _to(record)


@blueprint.get("/callers")
@needs(Permission.WORK_RECORDS)
def callers() -> ResponseReturnValue:
    """Show the customers a caller may be: a part of the page, fetched while it is typed."""
    viewer = current_viewer()
    typed = request.args.get("caller", "")
    return render_template("service/_callers.html", found=_callers(viewer, typed), typed=typed)


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may be calling, and about which record."""

    customers: Sequence[Customer] = ()
    record: Record | None = None


def _callers(viewer: Viewer, typed: str) -> Callers:
    try:
        record = reading.get_readable(viewer, typed)
    except Missing:
        record = None
    return Callers(customers.look_up(viewer, typed), record)


def _new_page(form: DetailsForm, customer: Customer | None) -> str:
    viewer = current_viewer()
    typed = request.args.get("caller", "")
    return render_template(
        "service/new.html",
        form=form,
        customer=customer,
        typed=typed,
        found=_callers(viewer, typed),
        history=queues.load_of_customer(viewer, customer.id, most=5)[0] if customer else [],
    )


def _chosen_customer(viewer: Viewer, typed: str) -> Customer | None:
    if not (typed.isascii() and typed.isdigit() and len(typed) < 10):
        return None
    try:
        return customers.get_readable(viewer, int(typed))
    except Missing:
        return None


def _details_form(viewer: Viewer, customer: Customer | None, **values: Any) -> DetailsForm:
    contacts = [(str(c.id), c.name or c.job) for c in customer.contacts] if customer else []
    chosen = [(str(customer.id), customer.name)] if customer else []
    return DetailsForm.build(viewer, customers=chosen, contacts=contacts, **values)


# A record


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPage:
    """Everything that a record's page shows to this viewer."""

    record: Record
    entries: Sequence[Entry]
    files: Mapping[int, Attachment]
    articles: Sequence[Article]
    linked: Sequence[Record]
    next_states: Sequence[tuple[str, Any]]
    entry_form: EntryForm
    resolution_form: ResolutionForm
    history: Sequence[Record] = ()
    colleagues: Sequence[presence.Colleague] = ()
    newer: Sequence[Entry] = ()
    """What others wrote while this viewer was writing: shown before their answer is sent."""
    is_resolving: bool = False
    """The answer that is not sent yet is a resolution."""
    presence_every_s: int = 0
    customer: Customer | None = None
    reach: Sequence[contacts.ContactDraft] = ()
    staff: Sequence[tuple[str, str]] = ()
    state_names: Any = field(default_factory=lambda: STATE_NAMES)


@blueprint.get(RECORD)
@needs(Permission.ASK)
def show(number: str) -> ResponseReturnValue:
    """Show a record's conversation and what is beside it."""
    return _record_page(reading.get_readable(current_viewer(), number))


def _record_page(
    record: Record,
    *,
    entry_form: EntryForm | None = None,
    resolution_form: ResolutionForm | None = None,
    newer: Sequence[Entry] = (),
) -> str:
    viewer = current_viewer()
    following = [(state, STATE_NAMES[state]) for state in states.next_states(record)]
    stay = [("", gettext("Leave it %(state)s", state=str(STATE_NAMES[record.state]).lower()))]
    entry_form = entry_form or EntryForm(formdata=None)
    entry_form.state.choices = as_choices([*stay, *following])
    timeline = reading.load_timeline(viewer, record)
    is_resolving = bool(newer) and resolution_form is not None
    resolution_form = resolution_form or ResolutionForm(formdata=None, data={"resolution": record.resolution})
    for form in (entry_form, resolution_form):
        if newer or not form.seen.data:
            # Read anew, it has all been seen.  A refused form keeps what it began from, so that nothing slips past.
            form.seen.data = str(max((entry.id for entry in timeline), default=0))
    common: dict[str, Any] = {
        "record": record,
        "entries": timeline,
        "files": reading.load_files(viewer, record),
        "articles": reading.load_articles(viewer, record),
        "linked": reading.load_linked(viewer, record),
        "next_states": following,
        "entry_form": entry_form,
        "resolution_form": resolution_form,
    }
    if not viewer.is_staff:
        return render_template("service/conversation.html", page=RecordPage(**common))
    page = RecordPage(
        **common,
        history=queues.load_history(viewer, record),
        customer=record.customer,
        reach=[contacts.draft_of(contact) for contact in record.customer.contacts] if record.customer else (),
        staff=staff_choices(),
        colleagues=presence.load_colleagues(viewer, record),
        newer=newer,
        is_resolving=is_resolving,
        presence_every_s=presence.EVERY_S,
    )
    return render_template("service/record.html", page=page, beside=None)


@blueprint.get(RECORD + "/similar")
@needs(Permission.WORK_RECORDS)
def similar(number: str) -> ResponseReturnValue:
    """Show similar past cases and helpful articles: a part of the record's page, or a page of its own."""
    viewer = current_viewer()
    record = reading.get_readable(viewer, number)
    beside = find_similar(viewer, record)
    linked = {article.id for article in reading.load_articles(viewer, record)}
    template = "service/_similar.html" if "HX-Request" in request.headers else "service/similar.html"
    return render_template(template, record=record, beside=_without(beside, linked))


def _without(beside: Beside, linked: set[int]) -> Beside:
    articles = [hit for hit in beside.articles if int(hit.id.partition(":")[2]) not in linked]
    return Beside(beside.records, articles, beside.is_degraded)


@blueprint.post(RECORD + "/entries")
@needs(Permission.ASK)
def add_entry(number: str) -> ResponseReturnValue:
    """Add a reply, or a note of staff.  What staff send without saying which is a note: it may never slip out."""
    viewer = current_viewer()
    record = reading.get_readable(viewer, number)
    form = EntryForm()
    body = form.body.data or ""
    once: Any = {"submission": form.submission.data, "files": form.uploads()}
    try:
        if not viewer.is_staff:
            entry = entries.reply(record, by=viewer, body=body, **once)
        elif _sent("kind") == "reply":
            seen = _seen(form.seen.data)
            entry = entries.reply(record, by=viewer, body=body, state=form.state.data or None, seen=seen, **once)
        else:
            entry = entries.note(record, by=viewer, body=body, **once)
    except Invalid as invalid:
        show_errors(form, invalid)
        return _record_page(record, entry_form=form), 422
    except Conflict as conflict:
        return _answered_page(number, conflict, entry_form=form)
    return _to(record, anchor=f"entry-{entry.id}")


def _answered_page(number: str, conflict: Conflict, **forms: Any) -> ResponseReturnValue:
    """Show a record with what others wrote meanwhile above the form that was not sent."""
    record = reading.get_readable(current_viewer(), number)
    ids = conflict.current["entries"]
    newer = [entry for entry in reading.load_timeline(current_viewer(), record) if entry.id in ids]
    return _record_page(record, newer=newer, **forms), 409


def _seen(typed: str | None) -> int | None:
    return int(typed) if typed and typed.isascii() and typed.isdigit() and len(typed) < 10 else None


@blueprint.get(RECORD + "/attachments/<int:file_id>")
@needs(Permission.ASK)
def attachment(number: str, file_id: int) -> ResponseReturnValue:
    """Give a file of a record; a picture may be looked at in place."""
    viewer = current_viewer()
    file = reading.get_file(viewer, reading.get_readable(viewer, number), file_id)
    return download.send(file, in_place=request.args.get("show") == "1")


@blueprint.post(RECORD + "/resolution")
@needs(Permission.ASK)
def add_resolution(number: str) -> ResponseReturnValue:
    """Resolve a record; a customer says that it is solved."""
    viewer = current_viewer()
    record = reading.get_readable(viewer, number)
    if not viewer.is_staff:
        states.say_solved(record, by=viewer)
        flash(gettext("Thank you. If it comes back, answer here and the request is open again."), "success")
        return _to(record)
    form = ResolutionForm()
    try:
        states.resolve(
            record,
            by=viewer,
            resolution=form.resolution.data or "",
            article_id=form.article_id.data or None,
            seen=_seen(form.seen.data),
        )
    except Invalid as invalid:
        show_errors(form, invalid)
        return _record_page(record, resolution_form=form), 422
    except Conflict as conflict:
        return _answered_page(number, conflict, resolution_form=form)
    flash(gettext("%(number)s is resolved.", number=record.number), "success")
    return _to(record)


@blueprint.post(RECORD + "/state")
@needs(Permission.WORK_RECORDS)
def set_state(number: str) -> ResponseReturnValue:
    """Move a record to another state."""
    return _changed(number, lambda record: states.change_state(record, by=current_viewer(), state=_sent("state")))


@blueprint.post(RECORD + "/assignee")
@needs(Permission.WORK_RECORDS)
def set_assignee(number: str) -> ResponseReturnValue:
    """Give a record to somebody."""
    wanted: Any = _sent("assignee_id") or None
    return _changed(number, lambda record: records.assign(record, by=current_viewer(), assignee_id=wanted))


@blueprint.post(RECORD + "/articles")
@needs(Permission.WORK_RECORDS)
def add_article(number: str) -> ResponseReturnValue:
    """Link an article."""
    wanted: Any = _sent("article_id")
    return _changed(number, lambda record: links.link_article(record, by=current_viewer(), article_id=wanted))


@blueprint.post(RECORD + "/articles/<int:article_id>/removal")
@needs(Permission.WORK_RECORDS)
def remove_article(number: str, article_id: int) -> ResponseReturnValue:
    """Take a linked article away."""
    return _changed(number, lambda record: links.unlink_article(record, by=current_viewer(), article_id=article_id))


@blueprint.post(RECORD + "/links")
@needs(Permission.WORK_RECORDS)
def add_link(number: str) -> ResponseReturnValue:
    """Link another record."""
    return _changed(number, lambda record: links.link_record(record, by=current_viewer(), number=_sent("number")))


@blueprint.post(RECORD + "/links/<string:other>/removal")
@needs(Permission.WORK_RECORDS)
def remove_link(number: str, other: str) -> ResponseReturnValue:
    """Take the link to another record away."""
    return _changed(number, lambda record: links.unlink_record(record, by=current_viewer(), number=other))


@blueprint.get(RECORD + "/details")
@needs(Permission.WORK_RECORDS)
def edit_details(number: str) -> ResponseReturnValue:
    """Show the form with everything of a record; the customer can be exchanged by number or name."""
    viewer = current_viewer()
    record = reading.get_readable(viewer, number)
    values = details_of(record)
    chosen = _chosen_customer(viewer, request.args.get("customer", "")) or record.customer
    values["customer_id"] = chosen.id if chosen else ""
    form = _details_form(viewer, chosen, data={name: str(value) for name, value in values.items()})
    return _details_page(record, form)


@blueprint.post(RECORD + "/details")
@needs(Permission.WORK_RECORDS)
def save_details(number: str) -> ResponseReturnValue:
    """Save a record's fields; over a newer version both are shown."""
    viewer = current_viewer()
    record = reading.get_readable(viewer, number)
    customer = _chosen_customer(viewer, request.form.get("customer_id", ""))
    form = _details_form(viewer, customer)
    try:
        records.save(record, by=viewer, version=_version(form.version.data), **form.fields())
    except Invalid as invalid:
        show_errors(form, invalid)
        return _details_page(record, form), 422
    except Conflict as conflict:
        return _details_conflict(number, form, conflict)
    flash(gettext("Saved."), "success")
    return _to(record)


def _details_conflict(number: str, form: DetailsForm, conflict: Conflict) -> ResponseReturnValue:
    record = reading.get_readable(current_viewer(), number)
    current = details_of(record)
    differing = [
        (name, form[name].label.text, _named(form, name, current[name]), _named(form, name, form[name].data))
        for name in form.NAMES
        if str(current[name]) != str(form[name].data or "")
    ]
    form.version.data = form.version.raw_data = conflict.current["version"]
    return _details_page(record, form, differing=differing), 409


def _named(form: DetailsForm, name: str, value: object) -> str:
    """Return what a select shows for a value, or the value itself."""
    choices = {choice.value: choice.label for choice in getattr(form[name], "choices", None) or ()}
    return str(choices.get(str(value or ""), value or ""))


def _details_page(record: Record, form: DetailsForm, differing: Sequence[Any] = ()) -> str:
    viewer, typed = current_viewer(), request.args.get("caller", "")
    return render_template(
        "service/details.html",
        record=record,
        form=form,
        differing=differing,
        typed=typed,
        found=_callers(viewer, typed),
    )


def _changed(number: str, change: Callable[[Record], Any]) -> ResponseReturnValue:
    """Do a small change and go back to the record; what is refused is said there."""
    record = reading.get_readable(current_viewer(), number)
    number = record.number
    try:
        change(record)
    except Invalid as invalid:
        for sentence in invalid.fields.values():
            flash(sentence, "danger")
    return redirect(url_for("service.show", number=number), 303)


def _to(record: Record, anchor: str | None = None) -> ResponseReturnValue:
    return redirect(url_for("service.show", number=record.number, _anchor=anchor), 303)


def _sent(name: str) -> str:
    return request.form.get(name, "").strip()


def _page_number() -> int:
    typed = request.args.get("page", "1")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 7 else 1


def _version(typed: str | None) -> int:
    if not (typed and typed.isascii() and typed.isdigit() and len(typed) < 10):
        abort(400)
    return int(typed)


def _records_of(viewer: Viewer, customer: Customer) -> dict[str, Any]:
    items, total = queues.load_of_customer(viewer, customer.id)
    return {"records": items, "record_total": total, "priority_names": PRIORITY_NAMES}


def init_app(app: Flask) -> None:
    """Register the pages, and the records that customers' pages show."""
    for pages in (blueprint, presence_views.blueprint, bulk_views.blueprint):
        app.register_blueprint(pages)
    show_beside(app, _records_of)
