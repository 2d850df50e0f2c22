"""The pages on which knowledge is written: the board, the form, the history and the changes of state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext, ngettext
from markupsafe import Markup
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal import markup
from portal.access import STAFF_ROLES, Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.accounts.models import User
from portal.attachments import attachments
from portal.attachments.models import Attachment
from portal.attachments.types import FILE_TYPES
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.knowledge import articles, board, fields, files, revisions, rights, translations
from portal.knowledge.diff import FieldDifference, differences
from portal.knowledge.forms import OUTCOME_NAMES, ArticleForm, ConfirmForm, FilesForm, TranslationForm
from portal.knowledge.lookup import find_article
from portal.knowledge.models import KINDS, PARTS, Article, Revision
from portal.vocabulary import categories, products
from portal.vocabulary.forms import AUDIENCE_NAMES
from portal.vocabulary.models import Category, Product

blueprint = Blueprint("editor", __name__)
COMPARED = (*fields.FIELDS, "state", "slug")


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorPage:
    """Everything the form's page shows beside the form."""

    kind: str
    article: Article | None
    parts: list[tuple[str, str]]
    attached: list[Attachment]
    files: FilesForm
    accepts: str
    may_delete: bool
    preview: list[tuple[str, Markup]]
    reason: str | None
    conflict: Conflict | None
    differences: list[FieldDifference]
    names: Mapping[str, str]


@blueprint.get("/board")
@needs(Permission.WRITE_ARTICLES)
def show_board() -> str:
    """Show what waits for an editor."""
    viewer = current_viewer()
    pile = board.PILES.get(request.args.get("show", "drafts"))
    number = request.args.get("page", "1")
    if pile is None or not (number.isascii() and number.isdigit() and 0 < len(number) < 6 and int(number)):
        abort(404)
    return render_template(
        "knowledge/board.html",
        pile=pile,
        piles=board.PILES.values(),
        counts=board.count_piles(viewer),
        page=board.load_pile(viewer, pile, number=int(number)),
        owners=dict(_staff()),
    )


@blueprint.route("/articles/new", methods=["GET", "POST"])
@needs(Permission.WRITE_ARTICLES)
def new() -> ResponseReturnValue:
    """Write an article; `kind`, `title` and `translation_of` may be given in the address."""
    viewer = current_viewer()
    kind = request.args.get("kind", "faq")
    if kind not in KINDS:
        abort(404)
    original = (
        articles.get_readable(viewer, request.args["translation_of"]) if "translation_of" in request.args else None
    )
    form = ArticleForm(data=_beginning(viewer, original))
    _offer(form, kind, viewer, form.language.data or "en")
    page = _page(kind, None)
    if not form.is_submitted():
        return render_template("knowledge/edit.html", form=form, page=page)
    if not form.validate():
        return render_template("knowledge/edit.html", form=form, page=page), 422
    if request.form.get("do") == "preview":
        return render_template("knowledge/edit.html", form=form, page=_page(kind, None, preview=form))
    publishes = request.form.get("do") == "publish"
    try:
        made = articles.create(
            by=viewer,
            kind=kind,
            changes=form.changes(),
            state="published" if publishes else "draft",
            note=form.note.data or "",
        )
        if original is not None:
            translations.link_translation(made, of=original, by=viewer)
    except Invalid as invalid:
        form.show_refusals(invalid.fields)
        return render_template("knowledge/edit.html", form=form, page=page), 422
    _say_saved(made, gettext("Published.") if publishes else gettext("Saved as a draft."))
    return redirect(url_for("knowledge.article", slug=made.slug), 303)


@blueprint.route("/articles/<slug>/edit", methods=["GET", "POST"])
@needs(Permission.WRITE_ARTICLES)
def edit(slug: str) -> ResponseReturnValue:
    """Change an article.  Whoever saves over a newer version is shown both and decides."""
    viewer = current_viewer()
    found = find_article(slug)
    rights.require_edit(found, viewer)
    form = ArticleForm(data=_content(found))
    _offer(form, found.kind, viewer, found.language)
    if not form.is_submitted():
        return render_template("knowledge/edit.html", form=form, page=_page(found.kind, found))
    if not form.validate():
        return render_template("knowledge/edit.html", form=form, page=_page(found.kind, found)), 422
    if request.form.get("do") == "preview":
        return render_template("knowledge/edit.html", form=form, page=_page(found.kind, found, preview=form))
    publishes = request.form.get("do") == "publish"
    try:
        articles.save(
            found, by=viewer, changes=form.changes(), expected_version=form.version.data, note=form.note.data or ""
        )
        if publishes:
            articles.publish(found, by=viewer)
    except Conflict as conflict:
        # What was typed stays in the form, now against the newer version; the page shows what differs.
        form.version.data = conflict.current["version"]
        form.version.raw_data = None
        return render_template("knowledge/edit.html", form=form, page=_page(found.kind, found, conflict=conflict)), 409
    except Invalid as invalid:
        form.show_refusals(invalid.fields)
        return render_template("knowledge/edit.html", form=form, page=_page(found.kind, found)), 422
    _say_saved(
        found, gettext("Published.") if publishes else gettext("Saved as version %(number)s.", number=found.version)
    )
    return redirect(url_for("knowledge.article", slug=found.slug), 303)


@blueprint.post("/articles/preview")
@needs(Permission.WRITE_ARTICLES)
def preview() -> str:
    """Show how a text will look: rendered and cleaned by the one renderer."""
    rendered = markup.render({"body": request.form.get("body", "")})
    return render_template(
        "knowledge/preview.html", html=markup.trusted(rendered.html.get("body")), reason=rendered.reason
    )


@blueprint.post("/articles/<slug>/publication")
@needs(Permission.PUBLISH_ARTICLES)
def publish(slug: str) -> Response:
    """Let an article's audience read it."""
    return _change_state(slug, "published", gettext("Published."))


@blueprint.post("/articles/<slug>/withdrawal")
@needs(Permission.PUBLISH_ARTICLES)
def withdraw(slug: str) -> Response:
    """Make an article a draft again."""
    return _change_state(slug, "draft", gettext("It is a draft again; readers do not see it any more."))


@blueprint.post("/articles/<slug>/archiving")
@needs(Permission.PUBLISH_ARTICLES)
def archive(slug: str) -> Response:
    """Take an article away from all but staff."""
    return _change_state(slug, "archived", gettext("Archived; only staff can read it."))


@blueprint.route("/articles/<slug>/deletion", methods=["GET", "POST"])
@needs(Permission.WRITE_ARTICLES)
def delete(slug: str) -> ResponseReturnValue:
    """Remove an article for good, once its title has been typed."""
    found = find_article(slug)
    rights.require_delete(found, current_viewer())
    form = ConfirmForm()
    if not form.validate_on_submit():
        return render_template("knowledge/delete.html", form=form, article=found)
    if " ".join((form.title.data or "").split()) != found.title:
        form.title.errors = [gettext("This is not the title. Type it exactly, or archive the article instead.")]
        return render_template("knowledge/delete.html", form=form, article=found), 422
    articles.delete(found, by=current_viewer())
    flash(gettext("The article is deleted."), "success")
    return redirect(url_for("editor.show_board"), 303)


@blueprint.get("/articles/<slug>/history")
@needs(Permission.WRITE_ARTICLES)
def history(slug: str) -> str:
    """Show the versions of an article, and two of them side by side."""
    found = find_article(slug)
    revisions = found.revisions
    new_one = _revision(found, request.args.get("new"), default=revisions[0] if revisions else None)
    earlier = [revision for revision in revisions if new_one and revision.number < new_one.number]
    old_one = _revision(found, request.args.get("old"), default=earlier[0] if earlier else None)
    return render_template(
        "knowledge/history.html",
        article=found,
        revisions=revisions,
        people=dict(_people(revisions)),
        old=old_one,
        new=new_one,
        differences=_differences(old_one.content, new_one.content) if old_one and new_one else [],
        names=_field_names(),
        may_edit=rights.may_edit(found, current_viewer()),
    )


@blueprint.post("/articles/<slug>/history/<int:version>/restoration")
@needs(Permission.WRITE_ARTICLES)
def restore(slug: str, version: int) -> Response:
    """Make an earlier version the newest."""
    found = find_article(slug)
    expected = request.form.get("version", type=int)
    try:
        articles.restore(found, number=version, by=current_viewer(), expected_version=expected)
    except Conflict:
        flash(gettext("Somebody has saved a newer version in between. Look at it before you restore."), "warning")
        return redirect(url_for(".history", slug=found.slug), 303)
    except Invalid as invalid:
        flash(str(invalid), "danger")
        return redirect(url_for(".history", slug=found.slug), 303)
    _say_saved(found, gettext("Version %(old)s is back, as version %(new)s.", old=version, new=found.version))
    return redirect(url_for("knowledge.article", slug=found.slug), 303)


@blueprint.post("/articles/<slug>/attachments")
@needs(Permission.WRITE_ARTICLES)
def attach(slug: str) -> ResponseReturnValue:
    """Add files; those that are not taken are named, the others stay."""
    viewer = current_viewer()
    found = find_article(slug)
    rights.require_edit(found, viewer)
    sending = FilesForm()
    sent = [file for file in sending.files.data or [] if file and file.filename]
    refusals = [] if sent else [gettext("Choose a file first.")]
    taken = 0
    for file in sent:
        try:
            files.attach(found, stream=file.stream, file_name=file.filename, by=viewer)
            taken += 1
        except Invalid as invalid:
            db.session.rollback()
            refusals.append(invalid.fields["file"])
    if taken:
        flash(ngettext("%(num)s file added.", "%(num)s files added.", taken), "success")
    if refusals:
        sending.files.errors = refusals
        form = ArticleForm(formdata=None, data=_content(found))
        _offer(form, found.kind, viewer, found.language)
        return render_template("knowledge/edit.html", form=form, page=_page(found.kind, found, files=sending)), 422
    return redirect(url_for(".edit", slug=found.slug, _anchor="files"), 303)


@blueprint.post("/articles/<slug>/attachments/<int:attachment_id>/removal")
@needs(Permission.WRITE_ARTICLES)
def detach(slug: str, attachment_id: int) -> Response:
    """Remove a file."""
    found = find_article(slug)
    kept = attachments.find(attachment_id, owner_kind="article", owner_id=found.id)
    if kept is None:
        abort(404)
    name = kept.file_name
    files.detach(found, kept, by=current_viewer())
    flash(gettext("%(name)s is removed.", name=name), "success")
    return redirect(url_for(".edit", slug=found.slug, _anchor="files"), 303)


@blueprint.route("/articles/<slug>/translation", methods=["GET", "POST"])
@needs(Permission.WRITE_ARTICLES)
def link_translation(slug: str) -> ResponseReturnValue:
    """Say which other article says the same in another language; an empty field takes the link away."""
    viewer = current_viewer()
    found = find_article(slug)
    rights.require_edit(found, viewer)
    form = TranslationForm(data={"address": found.translation_of.slug if found.translation_of else ""})
    if not form.validate_on_submit():
        return render_template("knowledge/translation.html", form=form, article=found)
    key = (form.address.data or "").strip().rstrip("/").rsplit("/", 1)[-1]
    other = articles.get_readable(viewer, key) if key else None
    if key and other is None:
        form.address.errors = [gettext("There is no such article. Copy its address from the browser.")]
        return render_template("knowledge/translation.html", form=form, article=found), 422
    try:
        translations.link_translation(found, of=other, by=viewer)
    except Invalid as invalid:
        form.address.errors = list(invalid.fields.values())
        return render_template("knowledge/translation.html", form=form, article=found), 422
    flash(gettext("The translations know each other now.") if other else gettext("The link is taken away."), "success")
    return redirect(url_for("knowledge.article", slug=found.slug), 303)


def _change_state(slug: str, state: str, sentence: str) -> Response:
    found = find_article(slug)
    before = found.state
    try:
        articles.set_state(found, state, by=current_viewer(), expected_version=request.form.get("version", type=int))
    except Conflict:
        flash(gettext("Somebody has saved a newer version in between. Read it, then decide again."), "warning")
    except Invalid as invalid:
        flash(str(invalid), "danger")
    else:
        undo = {"published": "editor.publish", "draft": "editor.withdraw", "archived": "editor.archive"}[before]
        flash((sentence, url_for(undo, slug=found.slug)), "success")  # type: ignore[arg-type]  # The look's shape.
    return redirect(url_for("knowledge.article", slug=found.slug), 303)


def _say_saved(article: Article, sentence: str) -> None:
    """Tell that it is saved, and whether its text could not be formatted."""
    flash(sentence, "success")
    if any('<div class="as-written">' in html for html in article.html.values()):
        flash(
            gettext("Its text could not be formatted and is shown as it was written. Make it shorter or simpler."),
            "warning",
        )


def _beginning(viewer: Viewer, original: Article | None) -> dict[str, Any]:
    """Return what a new article's form begins with: for a translation, everything but the words."""
    if original is None:
        return {
            "title": request.args.get("title", "")[: fields.LONGEST_TITLE],
            "language": "zh" if str(get_locale()).startswith("zh") else "en",
            "owner_id": viewer.user_id,
        }
    return _content(original) | {
        "language": "zh" if original.language != "zh" else "en",
        "owner_id": viewer.user_id,
        "is_shared": False,
        "review_at": None,
        "version": None,
    }


def _content(article: Article) -> dict[str, Any]:
    content = fields.described(article)
    content["tags"] = ", ".join(content["tags"])
    content["review_at"] = date.fromisoformat(content["review_at"][:10]) if content["review_at"] else None
    return content | {"version": article.version}


def _offer(form: ArticleForm, kind: str, viewer: Viewer, language: str) -> None:
    locale = str(get_locale())
    tree = categories.load_all(viewer)
    depth: dict[int | None, int] = {None: -1}
    for category in tree:
        depth[category.id] = depth.get(category.parent_id, -1) + 1
    form.offer(
        kind=kind,
        categories=[(c.id, "\u2003" * depth[c.id] + c.label(locale)) for c in tree],
        products=[(product.id, product.label(locale)) for product in products.load_all()],
        owners=_staff(),
        language=language,
    )
    if kind != "faq":
        headings = fields.headings_for(kind, language)
        for part in PARTS[kind]:
            form[part].label.text = headings[part]


def _staff() -> list[tuple[int, str]]:
    query = select(User).where(User.role.in_(STAFF_ROLES), User.is_active.is_(True)).order_by(User.name)
    return [(user.id, user.name) for user in db.session.scalars(query)]


def _people(revisions: Sequence[Revision]) -> list[tuple[int, str]]:
    ids = {revision.by_id for revision in revisions if revision.by_id}
    return [(user.id, user.name) for user in db.session.scalars(select(User).where(User.id.in_(ids)))]


def _revision(article: Article, asked: str | None, *, default: Revision | None) -> Revision | None:
    if asked is None:
        return default
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        abort(404)
    return revisions.find_revision(article, int(asked)) or abort(404)


def _page(
    kind: str,
    article: Article | None,
    *,
    preview: ArticleForm | None = None,
    conflict: Conflict | None = None,
    files: FilesForm | None = None,
) -> EditorPage:
    names = _field_names()
    shown: list[tuple[str, Markup]] = []
    reason = None
    if preview is not None:
        rendered = markup.render({part: preview[part].data or "" for part in PARTS[kind]})
        reason = rendered.reason
        shown = [(names[part], markup.trusted(html)) for part, html in rendered.html.items()]
    return EditorPage(
        kind=kind,
        article=article,
        parts=[(part, names[part]) for part in PARTS[kind]],
        attached=attachments.load_for("article", article.id) if article else [],
        files=files or FilesForm(formdata=None),
        accepts=",".join(FILE_TYPES),
        may_delete=article is not None and rights.may_delete(article, current_viewer()),
        preview=shown,
        reason=reason,
        conflict=conflict,
        differences=_differences(conflict.current, conflict.current | conflict.given) if conflict else [],
        names=names,
    )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[FieldDifference]:
    return differences(_readable(old), _readable(new), COMPARED)


def _readable(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a version's fields in people's words: names in place of ids."""
    locale = str(get_locale())
    shown = dict(content)
    category = db.session.get(Category, content["category_id"]) if content.get("category_id") else None
    shown["category_id"] = category.label(locale) if category else ""
    ids = content.get("product_ids") or []
    shown["product_ids"] = [p.label(locale) for p in db.session.scalars(select(Product).where(Product.id.in_(ids)))]
    owner = db.session.get(User, content["owner_id"]) if content.get("owner_id") else None
    shown["owner_id"] = owner.name if owner else ""
    shown["tags"] = sorted(fields.tag_names(content.get("tags")), key=str.casefold)
    shown["review_at"] = str(content.get("review_at") or "")[:10]
    shown["is_shared"] = gettext("Yes") if content.get("is_shared") else ""
    shown["audience"] = str(AUDIENCE_NAMES.get(content.get("audience", ""), ""))
    shown["outcome"] = str(OUTCOME_NAMES.get(content.get("outcome") or "", ""))
    return shown


def _field_names() -> dict[str, str]:
    return {name: str(field.label.text) for name, field in ArticleForm(formdata=None)._fields.items()} | {
        "state": gettext("State"),
        "slug": gettext("Address"),
    }
