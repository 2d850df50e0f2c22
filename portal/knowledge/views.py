"""The pages on which knowledge is read: the shelves, the lists and the article."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

import structlog
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from markupsafe import Markup

from portal import markup
from portal.access import Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.accounts.models import User
from portal.attachments import attachments, download
from portal.attachments.models import Attachment
from portal.errors import Invalid
from portal.extensions import db, limiter, now
from portal.knowledge import articles, editor, lists, reads, rights, shelves, translations, votes
from portal.knowledge.forms import VoteForm
from portal.knowledge.lookup import find_article
from portal.knowledge.models import PARTS, Article, Vote
from portal.search.answer import still_readable
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.results import Hit
from portal.search.sources import registry
from portal.settings import Settings
from portal.vocabulary import products, tags
from portal.vocabulary.models import Product, ProductFamily

blueprint = Blueprint("knowledge", __name__)
log = structlog.get_logger(__name__)
LISTED = 20
RELATED = 5
LARGEST_PAGE = 10_000
ORDERS = ("newest", "popular", "title")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticlePage:
    """Everything an article's page shows."""

    article: Article
    address: str
    """The whole address, from the settings: for print and for search engines."""
    parts: list[tuple[str, str, Markup]]
    """Part, heading and safe HTML, of the parts that are filled in."""
    sections: list[dict[str, str]]
    """What the table of contents lists."""
    trail: list[tuple[str, str | None]]
    owner: str | None
    translations: list[Article]
    attachments: list[Attachment]
    related: tuple[Hit, ...]
    vote: Vote | None
    is_stale: bool
    may_edit: bool


@blueprint.get("/knowledge")
@needs(Permission.READ)
def overview() -> str:
    """Show what there is to read: categories, products, what is used most and what is new."""
    viewer, locale = current_viewer(), str(get_locale())
    return render_template(
        "knowledge/overview.html",
        tops=shelves.build_tree(viewer, locale),
        families=_families(viewer),
        popular=lists.load_page(viewer, order="popular", size=6).articles,
        newest=lists.load_page(viewer, order="newest", size=6).articles,
    )


@blueprint.get("/categories")
@needs(Permission.READ)
def all_categories() -> str:
    """Show the whole tree."""
    return render_template("knowledge/categories.html", tops=shelves.build_tree(current_viewer(), str(get_locale())))


@blueprint.get("/categories/<slug>")
@needs(Permission.READ)
def category(slug: str) -> str:
    """List what a category holds, with everything below it."""
    viewer, locale = current_viewer(), str(get_locale())
    shelf = shelves.find_shelf(shelves.build_tree(viewer, locale), slug)
    if shelf is None:
        abort(404)
    held = lists.in_categories([below.category.id for below in shelf.walk()])
    return render_template(
        "knowledge/list.html",
        page=_page(viewer, held),
        order=_order(),
        title=shelf.label,
        lead=shelf.category.about(locale),
        eyebrow=gettext("Category"),
        trail=[(gettext("Categories"), url_for(".all_categories")), *shelves.trail(shelf.category, locale)],
        children=shelf.children,
        facet=("category", slug),
    )


@blueprint.get("/products")
@needs(Permission.READ)
def all_products() -> str:
    """Show the catalogue by families."""
    return render_template("knowledge/products.html", families=_families(current_viewer()))


@blueprint.get("/products/<slug>")
@needs(Permission.READ)
def product(slug: str) -> str:
    """List what there is about a product."""
    viewer, locale = current_viewer(), str(get_locale())
    found = products.find(slug)
    if found is None:
        abort(404)
    return render_template(
        "knowledge/list.html",
        page=_page(viewer, lists.with_product(found.id)),
        order=_order(),
        title=found.label(locale),
        lead=gettext("Part number %(number)s", number=found.part_number) if found.part_number else "",
        eyebrow=found.family.label(locale) if found.family else gettext("Product"),
        trail=[(gettext("Products"), url_for(".all_products")), (found.label(locale), "")],
        children=[],
        facet=("product", slug),
    )


@blueprint.get("/tags")
@needs(Permission.READ)
def all_tags() -> str:
    """Show the tags that this viewer finds something under."""
    counts = lists.count_by_tag(current_viewer())
    return render_template(
        "knowledge/tags.html", tags=[(tag, counts[tag.id]) for tag in tags.load_all() if tag.id in counts]
    )


@blueprint.get("/tags/<slug>")
@needs(Permission.READ)
def tag(slug: str) -> str:
    """List what carries a tag.  One under which this viewer finds nothing does not exist for them."""
    viewer, locale = current_viewer(), str(get_locale())
    found = tags.find(slug)
    if found is None:
        abort(404)
    page = _page(viewer, lists.with_tag(found.id))
    if page.total == 0 and not viewer.is_staff:
        abort(404)
    return render_template(
        "knowledge/list.html",
        page=page,
        order=_order(),
        title=found.label(locale),
        lead="",
        eyebrow=gettext("Tag"),
        trail=[(gettext("Tags"), url_for(".all_tags")), (found.label(locale), "")],
        children=[],
        facet=("tag", slug),
    )


@blueprint.get("/articles/<slug>")
@needs(Permission.READ)
def article(slug: str) -> ResponseReturnValue:
    """Show an article; a former address or a number leads to the present address."""
    found = find_article(slug)
    if found.slug != slug:
        return redirect(url_for(".article", slug=found.slug), 301 if found.state == "published" else 302)
    response = current_app.make_response(
        render_template("knowledge/article.html", page=build_page(found, current_viewer()), form=VoteForm())
    )
    if request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        response.call_on_close(reads.counter().add(found.id))
    return response


@blueprint.post("/articles/<slug>/vote")
@needs(Permission.READ)
@limiter.limit("30 per minute")
def vote(slug: str) -> ResponseReturnValue:
    """Take, change or take back an answer to "was this helpful?"."""
    found = find_article(slug)
    form = VoteForm()
    voter = _voter(current_viewer())
    if not form.validate_on_submit():
        abort(400)
    try:
        if form.answer.data == "none":
            votes.take_back_vote(found, voter=voter)
        else:
            votes.vote(found, voter=voter, is_helpful=form.answer.data == "yes", reason=form.reason.data or "")
    except Invalid as invalid:
        form.reason.errors = [invalid.fields["reason"]]
        page = build_page(found, current_viewer())
        return render_template("knowledge/article.html", page=page, form=form), 422
    if form.reason.data:
        flash(gettext("Thank you. The editors will see what you wrote."), "success")
    return redirect(url_for(".article", slug=found.slug, _anchor="helpful"), 303)


@blueprint.get("/articles/<slug>/attachments/<int:attachment_id>")
@needs(Permission.READ)
def attachment(slug: str, attachment_id: int) -> Response:
    """Answer with a file; `?shown=1` shows a picture in place."""
    found = find_article(slug)
    kept = attachments.find(attachment_id, owner_kind="article", owner_id=found.id)
    if kept is None:
        abort(404)
    return download.send(kept, in_place=request.args.get("shown") == "1")


def build_page(found: Article, viewer: Viewer) -> ArticlePage:
    """Collect what an article's page shows."""
    locale = str(get_locale())
    settings: Settings = current_app.extensions["casebook.settings"]
    headings = articles.headings(found)
    owner = db.session.get(User, found.owner_id) if found.owner_id and viewer.is_staff else None
    trail: list[tuple[str, str | None]] = [
        (gettext("Knowledge"), url_for("knowledge.overview")),
        *shelves.trail(found.category, locale),
        (found.title, None),
    ]
    return ArticlePage(
        article=found,
        address=settings.base_url + url_for("knowledge.article", slug=found.slug),
        parts=[
            (part, headings.get(part, ""), markup.trusted(found.html.get(part)))
            for part in PARTS[found.kind]
            if found.html.get(part)
        ],
        sections=[section for section in found.sections if section["heading"] and section["anchor"]],
        trail=trail,
        owner=owner.name if owner else None,
        translations=translations.load_translations(viewer, found),
        attachments=attachments.load_for("article", found.id, with_internal=False),
        related=_related(found, viewer),
        vote=votes.find_vote(found, voter=_voter(viewer)) if viewer.is_signed_in or "reader" in session else None,
        is_stale=found.review_at is not None and found.review_at < now() and found.state == "published",
        may_edit=rights.may_edit(found, viewer),
    )


def _related(found: Article, viewer: Viewer) -> tuple[Hit, ...]:
    """Ask the engine for articles about the same; without an engine there are none."""
    words = " ".join([found.title, found.summary, *(section["text"] for section in found.sections)])[:2000]
    try:
        hits = engine().similar(
            viewer, words, kinds=("faq", "case_study"), exclude=(f"article:{found.id}",), limit=RELATED
        )
    except EngineError as error:
        log.warning("no related articles", reason=str(error))
        return ()
    return still_readable(viewer, hits, registry())


def _page(viewer: Viewer, condition: Any) -> lists.Page:
    number = request.args.get("page", "1")
    if not (number.isascii() and number.isdigit() and len(number) < 6 and 1 <= int(number) <= LARGEST_PAGE):
        abort(404)
    page = lists.load_page(viewer, condition, order=_order(), number=int(number), size=LISTED)
    if page.number > page.count:
        abort(404)
    return page


def _order() -> str:
    order = request.args.get("sort", "newest")
    return order if order in ORDERS else "newest"


def _families(viewer: Viewer) -> list[tuple[ProductFamily | None, list[tuple[Product, int]]]]:
    """Return the families with their products and how many articles about each this viewer may read."""
    counts = lists.count_by_product(viewer)
    grouped: dict[int | None, list[tuple[Product, int]]] = {}
    for found in products.load_all():
        grouped.setdefault(found.family_id, []).append((found, counts.get(found.id, 0)))
    families: list[tuple[ProductFamily | None, list[tuple[Product, int]]]] = [
        (family, grouped[family.id]) for family in products.load_families() if family.id in grouped
    ]
    if None in grouped:
        families.append((None, grouped[None]))
    return families


def _voter(viewer: Viewer) -> str:
    """Return a keyed hash that stands for an account or, for strangers, for their browser's session."""
    if viewer.user_id is not None:
        who = f"user:{viewer.user_id}"
    else:
        who = "reader:" + session.setdefault("reader", secrets.token_urlsafe(16))
    key = str(current_app.secret_key).encode()
    return hmac.new(key, f"vote:{who}".encode(), hashlib.sha256).hexdigest()


def init_app(app: Flask) -> None:
    """Register the pages of readers and editors."""
    reads.init_app(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(editor.blueprint)
