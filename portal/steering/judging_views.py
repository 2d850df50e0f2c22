"""The pages of judged sets, and the page on which an editor judges without knowing which configuration is which."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from werkzeug.wrappers import Response as BaseResponse

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.errors import Invalid
from portal.extensions import db
from portal.search import evaluation
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.results import Hit
from portal.steering import configurations, judgements, judging, preferences
from portal.steering.forms import FilesForm, QueryForm, SetForm, SteeringForm
from portal.steering.models import Configuration, JudgedQuery, JudgedSet
from portal.steering.preferences import Pair

blueprint = Blueprint("judging", __name__, url_prefix="/steering")
MOST_SHOWN = 500


@blueprint.route("/sets", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def all_sets() -> ResponseReturnValue:
    """Show the judged sets with the form for a new one."""
    form = SetForm()
    if form.is_submitted() and form.validate():
        try:
            made = judgements.create_set(by=current_viewer(), changes=form.changes())
            return redirect(url_for(".one_set", set_id=made.id), 303)
        except Invalid as invalid:
            form.show_refusals(invalid.fields)
    page = render_template(
        "steering/sets.html", sets=judgements.load_sets(), counts=judgements.count_queries(), form=form
    )
    return page, 422 if form.is_submitted() else 200


@blueprint.get("/sets/<int:set_id>")
@needs(Permission.STEER_SEARCH)
def one_set(set_id: int) -> str:
    """Show a set's queries with how far each is judged."""
    return _set_page(_set(set_id), QueryForm(formdata=None), FilesForm(formdata=None))


@blueprint.post("/sets/<int:set_id>/deletion")
@needs(Permission.STEER_SEARCH)
def delete_set(set_id: int) -> BaseResponse:
    """Remove a set."""
    judgements.delete_set(_set(set_id), by=current_viewer())
    flash(gettext("The set is removed; what was measured on it stays."), "success")
    return redirect(url_for(".all_sets"), 303)


@blueprint.post("/sets/<int:set_id>/queries")
@needs(Permission.STEER_SEARCH)
def add_query(set_id: int) -> ResponseReturnValue:
    """Add a query and go to judge it."""
    found, form = _set(set_id), QueryForm()
    if form.validate():
        try:
            made = judgements.add_query(
                found, by=current_viewer(), text=form.text.data, language=form.language.data or ""
            )
            return redirect(url_for(".judge", query_id=made.id), 303)
        except Invalid as invalid:
            form.show_refusals(invalid.fields)
    return _set_page(found, form, FilesForm(formdata=None)), 422


@blueprint.post("/sets/<int:set_id>/files")
@needs(Permission.STEER_SEARCH)
def read_files(set_id: int) -> ResponseReturnValue:
    """Take queries and judgements from files."""
    found, form = _set(set_id), FilesForm()
    try:
        texts = [_text(request.files.get(name)) for name in ("queries", "qrels")]
        if not any(texts):
            raise evaluation.JudgementError(gettext("Choose at least one file."))
        report = judgements.read_files(found, by=current_viewer(), queries=texts[0], qrels=texts[1])
    except evaluation.JudgementError as error:
        form.show_refusals({"queries": str(error)})
        return _set_page(found, QueryForm(formdata=None), form), 422
    flash(
        gettext(
            "%(queries)s queries and %(judgements)s judgements are read.",
            queries=report.queries,
            judgements=report.judgements,
        ),
        "success",
    )
    return _set_page(found, QueryForm(formdata=None), FilesForm(formdata=None), report)


@blueprint.get("/sets/<int:set_id>/queries.jsonl")
@needs(Permission.STEER_SEARCH)
def write_queries(set_id: int) -> Response:
    """Give the queries as a file."""
    return _file(judgements.write_queries(_set(set_id)), "queries.jsonl", "application/jsonl")


@blueprint.get("/sets/<int:set_id>/qrels.tsv")
@needs(Permission.STEER_SEARCH)
def write_qrels(set_id: int) -> Response:
    """Give the judgements as a file."""
    return _file(judgements.write_qrels(_set(set_id)), "qrels.tsv", "text/tab-separated-values")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingPage:
    """All that the judging page shows."""

    query: JudgedQuery
    hits: Sequence[Hit]
    names: Sequence[str]
    """What each hit is judged under."""
    grades: dict[str, int]
    sides: judging.ScoredSides | None
    """Which configuration gave what; only once all are judged."""
    choices: Sequence[tuple[str, str]]
    one: str
    other: str
    next_query: JudgedQuery | None
    left: int
    trouble: str = ""


@blueprint.route("/judging/<int:query_id>", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def judge(query_id: int) -> ResponseReturnValue:
    """Show the hits of two configurations among each other, and take how relevant each is."""
    query = db.session.get(JudgedQuery, query_id) or abort(404)
    one, other = (_configuration(name) for name in ("one", "other"))
    if request.method == "POST":
        try:
            judgements.judge(query, by=current_viewer(), grades=_grades())
        except Invalid as invalid:
            flash(str(invalid), "danger")
        return _go_on(query, judging.find_next(query))
    return render_template("steering/judging.html", page=_judging_page(query, one, other))


@blueprint.route("/judging/<int:query_id>/lists", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def compare(query_id: int) -> ResponseReturnValue:
    """Show the hits of two configurations side by side, and take which list is better and how relevant hits are."""
    query = db.session.get(JudgedQuery, query_id) or abort(404)
    pair = Pair.of(*(_configuration(name) for name in ("one", "other")))
    viewer = current_viewer()
    if request.method == "POST":
        try:
            if grades := _grades():
                judgements.judge(query, by=viewer, grades=grades)
            if better := request.form.get("better"):
                names = _names_of_lists(pair.is_swapped(query, viewer))
                preferences.prefer(query, pair, names.get(better, better), by=viewer)
        except Invalid as invalid:
            flash(str(invalid), "danger")
        return _go_on(query, preferences.find_next(query, pair, by=viewer))
    return render_template("steering/lists.html", page=_lists_page(query, pair))


def _grades() -> dict[str, int | None]:
    return {
        name.removeprefix("grade:"): int(value) if value else None
        for name, value in request.form.items()
        if name.startswith("grade:") and value in ("", "0", "1", "2", "3")
    }


def _go_on(query: JudgedQuery, following: JudgedQuery | None) -> BaseResponse:
    """Lead to the next query where that is wanted and there is one, with the same configurations."""
    if request.form.get("then") == "next" and following is not None:
        query = following
    chosen: dict[str, Any] = {name: request.args[name] for name in ("one", "other") if name in request.args}
    return redirect(url_for(request.endpoint or ".judge", query_id=query.id, **chosen), 303)


def _judging_page(query: JudgedQuery, one: Configuration | None, other: Configuration | None) -> JudgingPage:
    grades = {judgement.document: judgement.grade for judgement in query.judgements}
    seed = hashlib.sha256(f"{query.id}:{current_viewer().user_id}".encode()).digest()
    trouble = ""
    try:
        sides = judging.run(engine(), query, one, other)
    except EngineError as error:
        sides = judging.Sides((), ())
        trouble = str(error)
    hits = judging.interleave(sides, seed)
    has_source = bool(query.judged_set.source)
    names = [judgements.name_of(hit, grades, has_source=has_source) for hit in hits]
    left = sum(name not in grades for name in names)
    return JudgingPage(
        query=query,
        hits=hits,
        names=names,
        grades=grades,
        sides=sides.scored(grades, has_source=has_source) if hits and not left else None,
        choices=_choices(),
        one=_key(one),
        other=_key(other),
        next_query=judging.find_next(query),
        left=left,
        trouble=trouble,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListsPage:
    """All that the page with two lists shows."""

    query: JudgedQuery
    lists: Sequence[judging.ShownList]
    grades: dict[str, int]
    better: str
    """a, b, same, or nothing as long as nothing was said."""
    are_alike: bool
    choices: Sequence[tuple[str, str]]
    one: str
    other: str
    next_query: JudgedQuery | None
    trouble: str = ""


def _lists_page(query: JudgedQuery, pair: Pair) -> ListsPage:
    viewer = current_viewer()
    is_swapped = pair.is_swapped(query, viewer)
    grades = {judgement.document: judgement.grade for judgement in query.judgements}
    sides, trouble = judging.Sides((), ()), ""
    try:
        if not pair.is_one:
            sides = judging.run(engine(), query, pair.one, pair.other)
    except EngineError as error:
        trouble = str(error)
    told = preferences.find(query, pair, by=viewer)
    lists = judging.show_lists(sides, grades, has_source=bool(query.judged_set.source), is_swapped=is_swapped)
    names = {name: letter for letter, name in _names_of_lists(is_swapped).items()}
    return ListsPage(
        query=query,
        lists=lists,
        grades=grades,
        better=names.get(told.better, told.better) if told else "",
        are_alike=[hit.id for hit in sides.one] == [hit.id for hit in sides.other],
        choices=_choices(),
        one=_key(pair.one),
        other=_key(pair.other),
        next_query=preferences.find_next(query, pair, by=viewer),
        trouble=trouble,
    )


def _names_of_lists(is_swapped: bool) -> dict[str, str]:
    """Return which of a pair the lists A and B are."""
    return dict(zip(("b", "a") if is_swapped else ("a", "b"), (preferences.ONE, preferences.OTHER), strict=True))


def _choices() -> list[tuple[str, str]]:
    named = [(str(found.id), found.name) for found in configurations.load_all()]
    return [("product", gettext("The product’s own weights")), *named]


def _key(configuration: Configuration | None) -> str:
    return str(configuration.id) if configuration else "product"


def _configuration(name: str) -> Configuration | None:
    """Return the configuration that the address names; `one` is the one in use unless it says otherwise."""
    given = request.args.get(name, "")
    if not given:
        return configurations.find_active() if name == "one" else judging.find_challenger()
    if given == "product":
        return None
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    return db.session.get(Configuration, number) or abort(404)


def _set_page(
    found: JudgedSet, query_form: SteeringForm, files_form: SteeringForm, report: judgements.Report | None = None
) -> str:
    return render_template(
        "steering/set.html",
        set=found,
        queries=judging.load_progress(found, most=MOST_SHOWN),
        count=judgements.count_queries().get(found.id, (0, 0)),
        suggestions=judging.suggest_queries(found),
        query_form=query_form,
        files_form=files_form,
        report=report,
        listed=judgements.listed,
    )


def _text(file: Any) -> str:
    if file is None or not file.filename:
        return ""
    try:
        text: str = file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise evaluation.JudgementError(
            gettext("%(file)s is not written in UTF-8.", file=repr(file.filename[:80]))
        ) from None
    if "\0" in text:
        raise evaluation.JudgementError(
            gettext("%(file)s holds characters that cannot be stored.", file=repr(file.filename[:80]))
        )
    return text


def _file(lines: Any, name: str, kind: str) -> Response:
    answer = Response("".join(lines), mimetype=kind)
    answer.headers["Content-Disposition"] = f"attachment; filename={name}"
    return answer


def _set(set_id: int) -> JudgedSet:
    return db.session.get(JudgedSet, set_id) or abort(404)
