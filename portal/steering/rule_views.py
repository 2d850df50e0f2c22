"""The pages of synonyms, pins and hides, of their previews, and of taking steps back."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from werkzeug.wrappers import Response

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.errors import Conflict, Invalid, Missing
from portal.extensions import db
from portal.search import indices
from portal.steering import configurations, journal, judgements, owners, previews, rules, synonyms
from portal.steering.forms import LinesForm, RuleForm, SteeringForm, SynonymForm
from portal.steering.models import Preview, SearchRule, Synonym

blueprint = Blueprint("steering", __name__, url_prefix="/steering")


@blueprint.get("")
@needs(Permission.STEER_SEARCH)
def overview() -> str:
    """Show by what the search is steered."""
    counts = {
        "synonyms": len(synonyms.load_all()),
        "rules": len(rules.load_all()),
        "sets": len(judgements.load_sets()),
        "configurations": len(configurations.load_all()),
    }
    return render_template("steering/overview.html", counts=counts, removed=journal.load_removed())


# Synonyms


@blueprint.route("/synonyms", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def all_synonyms() -> ResponseReturnValue:
    """Show the synonyms with the form for a new one."""
    form = SynonymForm()
    del form.owner_id
    made: list[Synonym] = []
    if _is_saved(form, lambda: made.append(synonyms.save(None, by=current_viewer(), changes=_changes(form)))):
        return _saved("synonym", made[0].id)
    page = render_template("steering/synonyms.html", rules=synonyms.load_all(), form=form)
    return page, 422 if form.is_submitted() else 200


@blueprint.route("/synonyms/lines", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def lines() -> ResponseReturnValue:
    """Take many synonyms at once, one a line."""
    form = LinesForm()
    made: list[Synonym] = []

    def save() -> None:
        changes = form.changes()
        made.extend(synonyms.save_lines(changes.pop("lines") or "", by=current_viewer(), changes=changes))

    if _is_saved(form, save):
        flash(ngettext("%(num)s rule is saved.", "%(num)s rules are saved.", len(made)), "success")
        return redirect(url_for(".all_synonyms"), 303)
    return render_template("steering/lines.html", form=form), 422 if form.is_submitted() else 200


@blueprint.route("/synonyms/<int:synonym_id>", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def one_synonym(synonym_id: int) -> ResponseReturnValue:
    """Change a synonym."""
    found = _synonym(synonym_id)
    form = SynonymForm(data={field: getattr(found, field) for field in synonyms.FIELDS})
    form.let_choose(found, owners.load_possible())
    if _is_saved(form, lambda: synonyms.save(found, by=current_viewer(), changes=_changes(form))):
        return _saved("synonym", synonym_id)
    return _one("synonym", found, found.words, form)


@blueprint.post("/synonyms/<int:synonym_id>/deletion")
@needs(Permission.STEER_SEARCH)
def delete_synonym(synonym_id: int) -> Response:
    """Remove a synonym."""
    _flash_undo(gettext("The rule is removed."), synonyms.delete(_synonym(synonym_id), by=current_viewer()))
    return redirect(url_for(".all_synonyms"), 303)


@blueprint.post("/synonyms/<int:synonym_id>/activation")
@needs(Permission.STEER_SEARCH)
def switch_synonym_on(synonym_id: int) -> Response:
    """Put a synonym in force."""
    return _switch("synonym", _synonym(synonym_id), is_active=True)


@blueprint.post("/synonyms/<int:synonym_id>/deactivation")
@needs(Permission.STEER_SEARCH)
def switch_synonym_off(synonym_id: int) -> Response:
    """Let a synonym rest."""
    return _switch("synonym", _synonym(synonym_id), is_active=False)


@blueprint.post("/synonyms/<int:synonym_id>/previews")
@needs(Permission.STEER_SEARCH)
def preview_synonym(synonym_id: int) -> Response:
    """Ask what a synonym changes."""
    return begin_preview("synonym", _synonym(synonym_id).id)


# Pins and hides


@blueprint.route("/rules", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def all_rules() -> ResponseReturnValue:
    """Show the pins and hides with the form for a new one; an address may bring what to fill in."""
    form = RuleForm()
    del form.owner_id
    if not form.is_submitted():
        for name in ("words", "article", "action"):
            if name in request.args:
                form[name].data = request.args[name][: rules.LONGEST_WORDS]
    made: list[SearchRule] = []
    if _is_saved(form, lambda: made.append(rules.save(None, by=current_viewer(), changes=_changes(form)))):
        return _saved("rule", made[0].id)
    there = rules.load_all()
    page = render_template("steering/rules.html", rules=there, targets=rules.load_targets(there), form=form)
    return page, 422 if form.is_submitted() else 200


@blueprint.route("/rules/<int:rule_id>", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def one_rule(rule_id: int) -> ResponseReturnValue:
    """Change a pin or a hide."""
    found = _rule(rule_id)
    values = {field: getattr(found, field) for field in rules.FIELDS if field != "article"}
    form = RuleForm(data=values | {"article": f"article:{found.article_id}"})
    form.let_choose(found, owners.load_possible())
    if _is_saved(form, lambda: rules.save(found, by=current_viewer(), changes=_changes(form))):
        return _saved("rule", rule_id)
    return _one("rule", found, found.words, form, target=rules.load_targets([found])[found.article_id])


@blueprint.post("/rules/<int:rule_id>/deletion")
@needs(Permission.STEER_SEARCH)
def delete_rule(rule_id: int) -> Response:
    """Remove a pin or a hide."""
    _flash_undo(gettext("The rule is removed."), rules.delete(_rule(rule_id), by=current_viewer()))
    return redirect(url_for(".all_rules"), 303)


@blueprint.post("/rules/<int:rule_id>/activation")
@needs(Permission.STEER_SEARCH)
def switch_rule_on(rule_id: int) -> Response:
    """Put a pin or a hide in force."""
    return _switch("rule", _rule(rule_id), is_active=True)


@blueprint.post("/rules/<int:rule_id>/deactivation")
@needs(Permission.STEER_SEARCH)
def switch_rule_off(rule_id: int) -> Response:
    """Let a pin or a hide rest."""
    return _switch("rule", _rule(rule_id), is_active=False)


@blueprint.post("/rules/<int:rule_id>/previews")
@needs(Permission.STEER_SEARCH)
def preview_rule(rule_id: int) -> Response:
    """Ask what a pin or a hide changes."""
    return begin_preview("rule", _rule(rule_id).id)


# Steps back


@blueprint.post("/steps/<int:step_id>/undo")
@needs(Permission.STEER_SEARCH)
def undo(step_id: int) -> Response:
    """Take one step of a rule's history back."""
    try:
        step = journal.undo(step_id, by=current_viewer())
    except Missing:
        abort(404)
    except Conflict as conflict:
        flash(str(conflict), "danger")
        return redirect(url_for(".overview"), 303)
    flash(gettext("The step is taken back."), "success")
    return redirect(url_for(f".all_{step.kind}s") if step.before is None else _place(step.kind, step.object_id), 303)


# Previews


@blueprint.get("/previews/<int:preview_id>")
@needs(Permission.STEER_SEARCH)
def one_preview(preview_id: int) -> str:
    """Show what a rule or a configuration would change."""
    return render_template("steering/preview.html", **_preview_page(preview_id))


@blueprint.get("/previews/<int:preview_id>/state")
@needs(Permission.STEER_SEARCH)
def preview_state(preview_id: int) -> str:
    """Show how far a preview is, for the page to put in its place."""
    return render_template("steering/preview_state.html", **_preview_page(preview_id))


def begin_preview(kind: str, object_id: int) -> Response:
    """Ask for a preview and go to its page."""
    preview = previews.request(kind, object_id, by=current_viewer())
    if not indices.workers():
        flash(gettext("No worker is running: it will be done when one starts."), "warning")
    return redirect(url_for("steering.one_preview", preview_id=preview.id), 303)


def _preview_page(preview_id: int) -> dict[str, Any]:
    preview = db.session.get(Preview, preview_id) or abort(404)
    if preview.kind == "configuration":
        about = url_for("configurations.one", configuration_id=preview.object_id)
        is_off = False
    else:
        about = _place(preview.kind, preview.object_id)
        thing = db.session.get(journal.MODELS[preview.kind], preview.object_id)
        is_off = thing is not None and not thing.is_active  # type: ignore[attr-defined]  # Both kinds of rules are.
    return {
        "preview": preview,
        "about": about,
        "is_off": is_off,
        "changes": [(change, *previews.compare(change)) for change in preview.changes],
    }


# What the pages share


def _is_saved(form: SteeringForm, operation: Callable[[], object]) -> bool:
    """Run an operation on what was filled in; False means that the form is to be shown, with what was wrong."""
    if not form.is_submitted() or not form.validate():
        return False
    try:
        operation()
    except Invalid as invalid:
        form.show_refusals(invalid.fields)
        return False
    return True


def _changes(form: SteeringForm) -> dict[str, Any]:
    """Return what was filled in; a rule that is to be tried first is not put in force yet."""
    changes = form.changes()
    return changes | {"is_active": False} if request.form.get("then") == "preview" else changes


def _saved(kind: str, object_id: int) -> Response:
    if request.form.get("then") == "preview":
        return begin_preview(kind, object_id)
    _flash_undo(gettext("The rule is saved. It acts within five seconds."), _latest_step(kind, object_id))
    return redirect(url_for(f".all_{kind}s"), 303)


def _switch(kind: str, thing: Synonym | SearchRule, *, is_active: bool) -> Response:
    object_id = thing.id
    try:
        if isinstance(thing, Synonym):
            synonyms.save(thing, by=current_viewer(), changes={"is_active": is_active})
        else:
            rules.save(thing, by=current_viewer(), changes={"is_active": is_active})
    except Invalid as invalid:
        flash(str(invalid), "danger")
    else:
        on, off = gettext("The rule is in force within five seconds."), gettext("The rule rests.")
        _flash_undo(on if is_active else off, _latest_step(kind, object_id))
    return redirect(_place(kind, object_id), 303)


def _latest_step(kind: str, object_id: int) -> int | None:
    """Return the step that can be taken back; a rule older than its journal, in which nothing changed, has none."""
    steps = journal.load_steps(kind, object_id, most=1)
    return steps[0].id if steps else None


def _flash_undo(sentence: str, step_id: int | None) -> None:
    if step_id is None:
        flash(sentence, "success")
    else:
        flash((sentence, url_for("steering.undo", step_id=step_id)), "success")  # type: ignore[arg-type]  # The look's shape.


def _one(kind: str, thing: Synonym | SearchRule, title: str, form: SteeringForm, **extra: Any) -> tuple[str, int]:
    place: dict[str, Any] = {f"{kind}_id": thing.id}
    steps = journal.load_steps(kind, thing.id)
    page = render_template(
        "steering/rule.html",
        kind=kind,
        rule=thing,
        title=title,
        form=form,
        back=url_for(f".all_{kind}s"),
        activation=url_for(f".switch_{kind}_{'off' if thing.is_active else 'on'}", **place),
        deletion=url_for(f".delete_{kind}", **place),
        preview=url_for(f".preview_{kind}", **place),
        latest=previews.find_latest(kind, thing.id),
        steps=steps,
        names=owners.names_in(steps),
        **extra,
    )
    return page, 422 if form.is_submitted() else 200


def _place(kind: str, object_id: int) -> str:
    place: dict[str, Any] = {f"{kind}_id": object_id}
    return url_for(f"steering.one_{kind}", **place)


def _synonym(synonym_id: int) -> Synonym:
    return db.session.get(Synonym, synonym_id) or abort(404)


def _rule(rule_id: int) -> SearchRule:
    return db.session.get(SearchRule, rule_id) or abort(404)
