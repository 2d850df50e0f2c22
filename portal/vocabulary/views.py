"""The pages on which editors keep the vocabulary: categories, products and families, tags."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import Field

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.vocabulary import categories, products, tags, words
from portal.vocabulary.forms import (
    AUDIENCE_NAMES,
    CategoryForm,
    MergeForm,
    ProductForm,
    WordForm,
    chosen_from,
)
from portal.vocabulary.models import Category, Product, ProductFamily, Tag

blueprint = Blueprint("vocabulary", __name__, url_prefix="/vocabulary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a list: its cells, the first of which leads to its form."""

    href: str
    cells: Sequence[str | int]
    depth: int = 0


@blueprint.get("")
@needs(Permission.WRITE_VOCABULARY)
def overview() -> str:
    """Show what the vocabulary consists of."""
    models: tuple[Any, ...] = (Category, Product, Tag)
    counts = [db.session.scalar(select(func.count()).select_from(model)) or 0 for model in models]
    return render_template("vocabulary/overview.html", counts=counts)


# Categories


@blueprint.route("/categories", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def all_categories() -> ResponseReturnValue:
    """Show the tree with the form for a new category."""
    form = CategoryForm()
    _offer_places(form, None)
    if _is_saved(form, lambda: categories.create(by=current_viewer(), changes=form.changes())):
        flash(gettext("%(name)s is made.", name=form.name.data), "success")
        return redirect(url_for(".all_categories"), 303)
    locale = str(get_locale())
    counts = words.count_uses("category", "article")
    lines = [
        Line(
            href=url_for(".one_category", slug=c.slug),
            cells=(
                c.label(locale),
                c.name_zh or "",
                str(AUDIENCE_NAMES[c.effective_audience]),
                counts.get(c.id, 0),
            ),
            depth=len(c.path()) - 1,
        )
        for c in categories.load_all(current_viewer())
    ]
    return _list(
        gettext("Categories"),
        [gettext("Name"), gettext("Chinese name"), gettext("Who may read"), gettext("Articles")],
        lines,
        form,
        gettext("New category"),
    )


@blueprint.route("/categories/<slug>", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def one_category(slug: str) -> ResponseReturnValue:
    """Rename, move or narrow a category."""
    found = categories.find(slug, viewer=current_viewer()) or abort(404)
    form = CategoryForm(data=categories.described(found) | {"version": found.version})
    _offer_places(form, found)
    extra: dict[str, Any] = {
        "deletion": url_for(".delete_category", slug=slug),
        "deletion_note": gettext("What it holds moves one level up; nobody can read more than before."),
    }
    try:
        if not _is_saved(
            form,
            lambda: categories.save(
                found, by=current_viewer(), changes=form.changes(), expected_version=form.version.data
            ),
        ):
            return _form(found.name, form, ".all_categories", **extra)
    except Conflict as conflict:
        # What was typed stays in the form, now against the newer version; what differs is listed above it.
        form.version.data, form.version.raw_data = found.version, None
        theirs = [
            f"{form[field].label.text}: {_shown(form[field], conflict.current[field])}"
            for field in conflict.given
            if conflict.current[field] != conflict.given[field]
        ]
        return _form(found.name, form, ".all_categories", status=409, conflict=str(conflict), theirs=theirs, **extra)
    flash(gettext("%(name)s is saved.", name=found.name), "success")
    return redirect(url_for(".all_categories"), 303)


@blueprint.post("/categories/<slug>/deletion")
@needs(Permission.WRITE_VOCABULARY)
def delete_category(slug: str) -> Response:
    """Remove a category without others below it."""
    found = categories.find(slug, viewer=current_viewer()) or abort(404)
    try:
        categories.delete(found, by=current_viewer())
    except Invalid as invalid:
        flash(str(invalid), "danger")
        return redirect(url_for(".one_category", slug=slug), 303)
    flash(gettext("The category is removed."), "success")
    return redirect(url_for(".all_categories"), 303)


# Products and families


@blueprint.route("/products", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def all_products() -> ResponseReturnValue:
    """Show the catalogue with the form for a new product."""
    form = ProductForm()
    _offer_families(form)
    if _is_saved(form, lambda: products.create(by=current_viewer(), changes=form.changes())):
        flash(gettext("%(name)s is added.", name=form.name.data), "success")
        return redirect(url_for(".all_products"), 303)
    locale = str(get_locale())
    counts = words.count_uses("product", "article")
    lines = [
        Line(
            href=url_for(".one_product", slug=p.slug),
            cells=(
                p.label(locale),
                p.name_zh or "",
                p.family.label(locale) if p.family else "",
                p.part_number or "",
                counts.get(p.id, 0),
            ),
        )
        for p in products.load_all()
    ]
    headings = [
        gettext("Name"),
        gettext("Chinese name"),
        gettext("Family"),
        gettext("Part number"),
        gettext("Articles"),
    ]
    more = [(gettext("Families"), url_for(".all_families"))]
    return _list(gettext("Products"), headings, lines, form, gettext("New product"), more=more)


@blueprint.route("/products/<slug>", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def one_product(slug: str) -> ResponseReturnValue:
    """Change a product."""
    found = products.find(slug) or abort(404)
    form = ProductForm(data={field: getattr(found, field) for field in products.FIELDS})
    _offer_families(form)
    extra: dict[str, Any] = {
        "deletion": url_for(".delete_product", slug=slug),
        "deletion_note": gettext("Articles, requests and customers lose it."),
    }
    if not _is_saved(form, lambda: products.save(found, by=current_viewer(), changes=form.changes())):
        return _form(found.name, form, ".all_products", **extra)
    flash(gettext("%(name)s is saved.", name=found.name), "success")
    return redirect(url_for(".all_products"), 303)


@blueprint.post("/products/<slug>/deletion")
@needs(Permission.WRITE_VOCABULARY)
def delete_product(slug: str) -> Response:
    """Take a product out of the catalogue."""
    products.delete(products.find(slug) or abort(404), by=current_viewer())
    flash(gettext("The product is removed."), "success")
    return redirect(url_for(".all_products"), 303)


@blueprint.route("/families", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def all_families() -> ResponseReturnValue:
    """Show the families of products with the form for a new one."""
    form = WordForm()
    if _is_saved(form, lambda: products.save_family(None, by=current_viewer(), changes=form.changes())):
        return redirect(url_for(".all_families"), 303)
    locale = str(get_locale())
    lines = [
        Line(href=url_for(".one_family", slug=f.slug), cells=(f.label(locale), f.name_zh or "", len(f.products)))
        for f in products.load_families()
    ]
    headings = [gettext("Name"), gettext("Chinese name"), gettext("Products")]
    return _list(gettext("Families"), headings, lines, form, gettext("New family"))


@blueprint.route("/families/<slug>", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def one_family(slug: str) -> ResponseReturnValue:
    """Rename a family."""
    found = _family(slug)
    form = WordForm(data={"name": found.name, "name_zh": found.name_zh})
    extra: dict[str, Any] = {
        "deletion": url_for(".delete_family", slug=slug),
        "deletion_note": gettext("It must be empty."),
    }
    if not _is_saved(form, lambda: products.save_family(found, by=current_viewer(), changes=form.changes())):
        return _form(found.name, form, ".all_families", **extra)
    return redirect(url_for(".all_families"), 303)


@blueprint.post("/families/<slug>/deletion")
@needs(Permission.WRITE_VOCABULARY)
def delete_family(slug: str) -> Response:
    """Remove an empty family."""
    try:
        products.delete_family(_family(slug), by=current_viewer())
    except Invalid as invalid:
        flash(str(invalid), "danger")
        return redirect(url_for(".one_family", slug=slug), 303)
    flash(gettext("The family is removed."), "success")
    return redirect(url_for(".all_families"), 303)


# Tags


@blueprint.route("/tags", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def all_tags() -> ResponseReturnValue:
    """Show all tags with their uses and the form for a new one."""
    form = WordForm()
    if _is_saved(form, lambda: tags.create(by=current_viewer(), changes=form.changes())):
        return redirect(url_for(".all_tags"), 303)
    counts = [words.count_uses("tag", kind) for kind in ("article", "record", "customer")]
    lines = [
        Line(
            href=url_for(".one_tag", slug=tag.slug),
            cells=(tag.name, tag.name_zh or "", *(str(count.get(tag.id, 0)) for count in counts)),
        )
        for tag in tags.load_all()
    ]
    headings = [
        gettext("Name"),
        gettext("Chinese name"),
        gettext("Articles"),
        gettext("Requests"),
        gettext("Customers"),
    ]
    return _list(gettext("Tags"), headings, lines, form, gettext("New tag"))


@blueprint.route("/tags/<slug>", methods=["GET", "POST"])
@needs(Permission.WRITE_VOCABULARY)
def one_tag(slug: str) -> ResponseReturnValue:
    """Rename a tag, or merge it into another."""
    found = tags.find(slug) or abort(404)
    form = WordForm(data={"name": found.name, "name_zh": found.name_zh})
    merge = MergeForm(formdata=None)
    merge.into.choices = chosen_from({other.id: other.name for other in tags.load_all() if other.id != found.id})
    extra: dict[str, Any] = {
        "merge": merge,
        "merge_action": url_for(".merge_tag", slug=slug),
        "deletion": url_for(".delete_tag", slug=slug),
        "deletion_note": gettext("Articles, requests and customers lose it."),
    }
    if not _is_saved(form, lambda: tags.save(found, by=current_viewer(), changes=form.changes())):
        return _form(found.name, form, ".all_tags", **extra)
    flash(gettext("%(name)s is saved.", name=found.name), "success")
    return redirect(url_for(".all_tags"), 303)


@blueprint.post("/tags/<slug>/merger")
@needs(Permission.WRITE_VOCABULARY)
def merge_tag(slug: str) -> Response:
    """Let everything that carries this tag carry another instead."""
    found = tags.find(slug) or abort(404)
    form = MergeForm()
    form.into.choices = chosen_from({other.id: other.name for other in tags.load_all()})
    into = db.session.get(Tag, form.into.data) if form.validate_on_submit() else None
    if into is None or into.id == found.id:
        flash(gettext("Choose another tag to merge this one into."), "danger")
        return redirect(url_for(".one_tag", slug=slug), 303)
    name = found.name
    tags.merge(found, into=into, by=current_viewer())
    flash(gettext("%(old)s is now %(new)s.", old=name, new=into.name), "success")
    return redirect(url_for(".all_tags"), 303)


@blueprint.post("/tags/<slug>/deletion")
@needs(Permission.WRITE_VOCABULARY)
def delete_tag(slug: str) -> Response:
    """Remove a tag from everything."""
    tags.delete(tags.find(slug) or abort(404), by=current_viewer())
    flash(gettext("The tag is removed."), "success")
    return redirect(url_for(".all_tags"), 303)


def _is_saved(form: WordForm, operation: Callable[[], object]) -> bool:
    """Run an operation on what was filled in; False means that the form is to be shown, with what was wrong."""
    if not form.is_submitted() or not form.validate():
        return False
    try:
        operation()
    except Invalid as invalid:
        form.show_refusals(invalid.fields)
        return False
    return True


def _list(
    title: str,
    headings: Sequence[str],
    lines: Sequence[Line],
    form: WordForm,
    new: str,
    *,
    more: Sequence[tuple[str, str]] = (),
) -> tuple[str, int]:
    page = render_template(
        "vocabulary/list.html", title=title, headings=headings, lines=lines, form=form, new=new, more=more
    )
    return page, 422 if form.is_submitted() else 200


def _form(title: str, form: WordForm, back: str, *, status: int | None = None, **extra: Any) -> tuple[str, int]:
    page = render_template("vocabulary/form.html", title=title, form=form, back=url_for(back), **extra)
    return page, status or (422 if form.is_submitted() else 200)


def _shown(field: Field, value: object) -> object:
    """Return a field's value as people see it."""
    names = {choice.value: choice.label for choice in getattr(field, "choices", None) or ()}
    return names.get("" if value is None else value, value)


def _offer_places(form: CategoryForm, category: Category | None) -> None:
    """Offer every place in the tree but the category itself and what lies below it."""
    locale = str(get_locale())
    own = set(categories.ids_below(category.id)) if category else set()
    places = {
        c.id: "\u2003" * (len(c.path()) - 1) + c.label(locale)
        for c in categories.load_all(current_viewer())
        if c.id not in own
    }
    form.parent_id.choices = chosen_from({"": gettext("Nothing: it is on the first level")} | places)


def _offer_families(form: ProductForm) -> None:
    locale = str(get_locale())
    families = {family.id: family.label(locale) for family in products.load_families()}
    form.family_id.choices = chosen_from({"": gettext("None")} | families)


def _family(slug: str) -> ProductFamily:
    return db.session.scalar(select(ProductFamily).where(ProductFamily.slug == slug)) or abort(404)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
