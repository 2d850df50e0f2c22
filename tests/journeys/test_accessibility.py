"""Every page as assistive technology, a phone and a keyboard meet it: axe finds nothing, nothing scrolls sideways.

Each page is looked at in both languages and both themes, on a desktop and at 360 px; the error pages and every macro
(by the style guide) too.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Page
from sqlalchemy import select

from portal.accounts.models import User
from portal.extensions import db
from portal.knowledge.models import Article
from portal.search import saved
from portal.service.models import Record
from portal.steering import configurations, judgements, measurements, preferences, previews, rules
from portal.steering.models import PreviewedChange
from portal.vocabulary.models import Category, Product, ProductFamily, Tag
from tests.journeys.conftest import DESKTOP, PHONE, House
from tests.pages.style_guide import STATUSES

Open = Callable[..., Page]
AXE = Path(__file__).parents[1] / "vendor/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SMALLEST_TARGET_PX = 24
SETTLING_MS = 150
"""How long the behaviours of a page need to be in place."""
LOOKS = [("en", "light", DESKTOP), ("zh", "dark", DESKTOP), ("en", "dark", PHONE), ("zh", "light", PHONE)]
look = pytest.mark.parametrize(
    ("language", "theme", "size"), LOOKS, ids=["en-light-desktop", "zh-dark-desktop", "en-dark-phone", "zh-light-phone"]
)


def complaints(page: Page) -> list[str]:
    """Return what axe finds, and what it does not look for: sideways scrolling and targets too small for a finger."""
    page.wait_for_load_state()
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found: list[str] = page.evaluate(
        """rules => axe.run({ runOnly: rules }).then(result =>
            result.violations.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ")).slice(0, 3).join(", ")))""",
        RULES,
    )
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if over > 0:
        found.append(f"the page is {over} px wider than the window")
    found += page.evaluate(
        """smallest => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
            .filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".visually-hidden, .skip-link"))
            .filter(e => getComputedStyle(e).display !== "inline")
            .map(e => [e, e.getBoundingClientRect()])
            .filter(([e, box]) => box.width && Math.min(box.width, box.height) < smallest)
            .map(([e]) => "smaller than a finger: " + e.outerHTML.slice(0, 100))""",
        SMALLEST_TARGET_PX,
    )
    return found


# Who looks at each page, and at which address; `{slug}` and the like are filled in from the demo.
PAGES = {
    "/": ("anonymous", "/"),
    "/admin": ("admin", "/admin"),
    "/admin/audit": ("admin", "/admin/audit"),
    "/admin/backups": ("manager", "/admin/backups"),
    "/admin/files": ("agent", "/admin/files"),
    "/admin/index": ("admin", "/admin/index"),
    "/admin/users": ("admin", "/admin/users"),
    "/admin/users/<int:user_id>": ("admin", "/admin/users/1"),
    "/admin/users/new": ("admin", "/admin/users/new"),
    "/articles/<slug>": ("customer", "/articles/{article}"),
    "/articles/<slug>/deletion": ("admin", "/articles/{article}/deletion"),
    "/articles/<slug>/edit": ("editor", "/articles/{article}/edit"),
    "/articles/<slug>/history": ("editor", "/articles/{article}/history"),
    "/articles/<slug>/translation": ("editor", "/articles/{article}/translation"),
    "/articles/new": ("agent", "/articles/new?kind=case_study"),
    "/ask": ("customer", "/ask"),
    "/board": ("editor", "/board"),
    "/categories": ("anonymous", "/categories"),
    "/categories/<slug>": ("anonymous", "/categories/{category}"),
    "/customers": ("agent", "/customers"),
    "/customers/<int:customer_id>": ("agent", "/customers/1"),
    "/customers/<int:customer_id>/profile": ("agent", "/customers/1/profile"),
    "/customers/new": ("agent", "/customers/new"),
    "/desk": ("agent", "/desk"),
    "/help": ("anonymous", "/help"),
    "/invitation/<token>": ("anonymous", "/invitation/none"),
    "/knowledge": ("agent", "/knowledge"),
    "/me": ("customer", "/me"),
    "/me/second-factor": ("agent", "/me/second-factor"),
    "/products": ("anonymous", "/products"),
    "/products/<slug>": ("anonymous", "/products/{product}"),
    "/records/<string:number>": ("agent", "/records/{record}"),
    "/records/<string:number>/details": ("agent", "/records/{record}/details"),
    "/records/<string:number>/similar": ("agent", "/records/{record}/similar"),
    "/records/new": ("agent", "/records/new"),
    "/me/searches": ("customer", "/me/searches"),
    "/reports/searches": ("admin", "/reports/searches"),
    "/reports/searches/query": ("admin", "/reports/searches/query?key=printer+offline"),
    "/requests": ("customer", "/requests"),
    "/reset": ("anonymous", "/reset"),
    "/reset/<token>": ("anonymous", "/reset/none"),
    "/saved-searches/<token>/pause": ("anonymous", "/saved-searches/{letter}/pause"),
    "/search": ("agent", "/search?q=printer&kind=faq"),
    "/search/facets/<name>": ("anonymous", "/search/facets/tag?q=printer"),
    "/search/why": ("agent", "/search/why?q=printer&id={article}&as=customer"),
    "/sign-in": ("anonymous", "/sign-in"),
    "/steering": ("editor", "/steering"),
    "/steering/configurations": ("editor", "/steering/configurations"),
    "/steering/configurations/<int:configuration_id>": ("editor", "/steering/configurations/{configuration}"),
    "/steering/judging/<int:query_id>": ("editor", "/steering/judging/{query}"),
    "/steering/judging/<int:query_id>/lists": ("editor", "/steering/judging/{query}/lists"),
    "/steering/measurements": ("editor", "/steering/measurements"),
    "/steering/previews/<int:preview_id>": ("editor", "/steering/previews/{preview}"),
    "/steering/rules": ("editor", "/steering/rules"),
    "/steering/rules/<int:rule_id>": ("editor", "/steering/rules/{rule}"),
    "/steering/sets": ("editor", "/steering/sets"),
    "/steering/sets/<int:set_id>": ("editor", "/steering/sets/{set}"),
    "/steering/synonyms": ("editor", "/steering/synonyms"),
    "/steering/synonyms/<int:synonym_id>": ("editor", "/steering/synonyms/1"),
    "/steering/synonyms/lines": ("editor", "/steering/synonyms/lines"),
    "/tags": ("anonymous", "/tags"),
    "/tags/<slug>": ("anonymous", "/tags/{tag}"),
    "/vocabulary": ("editor", "/vocabulary"),
    "/vocabulary/categories": ("editor", "/vocabulary/categories"),
    "/vocabulary/categories/<slug>": ("editor", "/vocabulary/categories/{category}"),
    "/vocabulary/families": ("editor", "/vocabulary/families"),
    "/vocabulary/families/<slug>": ("editor", "/vocabulary/families/{family}"),
    "/vocabulary/products": ("editor", "/vocabulary/products"),
    "/vocabulary/products/<slug>": ("editor", "/vocabulary/products/{product}"),
    "/vocabulary/tags": ("editor", "/vocabulary/tags"),
    "/vocabulary/tags/<slug>": ("editor", "/vocabulary/tags/{tag}"),
}
MORE_PAGES = [
    ("customer", "/records/{own}"),
    ("anonymous", "/search?q=打印机"),
    ("anonymous", "/search?q=xqzzv"),
    ("anonymous", "/search?page=0"),
    ("agent", "/search?q=printer&explain=1"),
    ("agent", "/search?category=devices&updated=2020-01-01.."),
    ("anonymous", "/saved-searches/none/pause"),
    ("anonymous", "/articles/{article}"),
    ("agent", "/articles/{case}"),
    ("anonymous", "/nowhere"),
]
PARTS = {
    "/admin/index/state",
    "/steering/previews/<int:preview_id>/state",
    "/steering/measurements/state",
    "/reports",
    "/ask/answers",
    "/callers",
    "/records",
}
"""Pieces that a page fetches for itself, and an address that leads on to the desk or to one's own requests."""
FOR_PROGRAMS = re.compile(
    r"/(api/|healthz|readyz|metrics|opensearch\.xml|.*attachments/<|.*picture\.svg|.*\.(csv|jsonl|tsv))"
)


@pytest.fixture(scope="module")
def examples(live_server: House) -> dict[str, str]:
    """One of each thing that the demo holds."""
    with live_server.app.app_context():
        article = select(Article.slug).where(Article.state == "published", Article.audience == "public")
        customer = select(User.customer_id).where(User.role == "customer").scalar_subquery()
        queries = {
            "article": article.where(Article.kind == "faq", Article.body.contains("```")),
            "case": article.where(Article.kind == "case_study"),
            "category": select(Category.slug).where(Category.audience == "public"),
            "product": select(Product.slug),
            "family": select(ProductFamily.slug),
            "tag": select(Tag.slug),
            "record": select(Record.number).where(Record.state == "open"),
            "own": select(Record.number).where(Record.customer_id == customer),
        }
        found = {name: str(db.session.scalars(query).first()) for name, query in queries.items()}
        return found | _steered() | {"letter": saved.token_of(1)}


def _steered() -> dict[str, str]:
    """Put a rule that rests upon the search, with a preview of what it would change."""
    by = db.session.scalars(select(User).where(User.role == "editor")).one().viewer
    article_id = db.session.scalars(select(Article.id).where(Article.state == "published")).first()
    given = {"action": "pin", "words": "xyzzy", "article": article_id, "reason": "Asked for often", "is_active": False}
    rule = rules.save(None, by=by, changes=given)
    preview = previews.request("rule", rule.id, by=by)
    hits = [{"id": "article:1", "title": "Printer offline"}, {"id": "article:2", "title": "打印机"}]
    changed = PreviewedChange(words="xyzzy", viewer_kind="anonymous", before=hits, after=hits[::-1])
    preview.state, preview.changes = "done", [changed]
    db.session.commit()
    made = configurations.save(None, by=by, changes={"name": "Longer titles", "weights": {"title": 0.7}})
    judged_set = judgements.create_set(by=by, changes={"name": "Readers"})
    query = judgements.add_query(judged_set, by=by, text="printer offline")
    judgements.judge(query, by=by, grades={"article:1": 3, "nowhere": 1})
    preferences.prefer(query, preferences.Pair.of(made, None), preferences.OTHER, by=by)
    for side in (None, made):
        for ndcg in (0.7, 0.8):
            measured = measurements.prepare(side, judged_set, engine_name="embedded")
            measured.state, measured.ndcg, measured.queries, measured.scores = "done", ndcg, 1, {"q1": [ndcg, 1, 1, 1]}
            measured.total, measured.mrr, measured.recall, measured.unknown = 1, 0.9, 1.0, ["nowhere"]
            measured.unknown_count = 1
            db.session.add(measured)
    db.session.commit()
    return {
        "rule": str(rule.id),
        "preview": str(preview.id),
        "configuration": str(made.id),
        "set": str(judged_set.id),
        "query": str(query.id),
    }


def test_no_page_is_forgotten(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert {rule for rule in rules if not FOR_PROGRAMS.match(rule)} - PARTS == set(PAGES)


# Each language once, each theme once, each window once.
@pytest.mark.parametrize(
    ("language", "theme", "size"),
    [("en", "light", DESKTOP), ("zh", "dark", PHONE)],
    ids=["en-light-desktop", "zh-dark-phone"],
)
@pytest.mark.parametrize("role", ["anonymous", "customer", "agent", "editor", "admin"])
def test_every_page(
    open_page: Open,
    live_server: House,
    examples: dict[str, str],
    role: str,
    language: str,
    theme: str,
    size: dict[str, int],
) -> None:
    paths = [path.format(**examples) for who, path in [*PAGES.values(), *MORE_PAGES] if who == role]
    page = open_page(
        f"{live_server.url}/help", language=language, theme=theme, size=size, cookies=live_server.cookies[role]
    )
    found = {}
    for path in paths:
        page.goto(live_server.url + path)
        page.wait_for_timeout(SETTLING_MS)
        assert urlsplit(page.url).path == urlsplit(path).path, "the page led elsewhere"
        found[path] = complaints(page)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


@look
@pytest.mark.parametrize("query", ["as=admin", "wrong=1&degraded=1"])
def test_every_macro(
    open_page: Open, guide_url: str, query: str, language: str, theme: str, size: dict[str, int]
) -> None:
    page = open_page(f"{guide_url}/style-guide?{query}", language=language, theme=theme, size=size)
    assert complaints(page) == []


@look
def test_every_error(open_page: Open, guide_url: str, language: str, theme: str, size: dict[str, int]) -> None:
    page = open_page(f"{guide_url}/knowledge", language=language, theme=theme, size=size)
    found = {}
    for status in STATUSES:
        page.goto(f"{guide_url}/style-guide/error/{status}")
        found[status] = complaints(page)
    assert found == {status: [] for status in STATUSES}


@look
def test_the_palette_the_keys_and_the_menus(
    open_page: Open, guide_url: str, language: str, theme: str, size: dict[str, int]
) -> None:
    page = open_page(f"{guide_url}/style-guide/error/500?as=admin", language=language, theme=theme, size=size)
    page.keyboard.press("Control+k")
    page.locator("#q-palette-suggestions [role=option]").first.wait_for()
    assert complaints(page) == []
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    page.locator("dialog#keys-dialog[open]").wait_for()
    assert complaints(page) == []
    page.keyboard.press("Escape")
    for menu in page.locator("details.menu > summary").all():
        menu.click()
        assert complaints(page) == []


def test_the_check_finds_what_is_wrong(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/knowledge", size=PHONE)
    page.evaluate(
        """() => {
            const wrong = document.createElement("button");
            wrong.className = "wide";
            document.querySelector("main").append(wrong);
            Object.assign(wrong.style, { width: "900px", height: "12px", padding: 0 });
        }"""
    )
    found = " ".join(complaints(page))
    assert "button-name" in found
    assert "wider than the window" in found
    assert "smaller than a finger" in found


def test_the_skip_link_comes_first_and_leads_to_the_content(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/style-guide/error/500")
    page.keyboard.press("Tab")
    link = page.locator(".skip-link")
    assert link.evaluate("link => link === document.activeElement")
    assert link.evaluate("link => link.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_everything_that_can_be_clicked_is_reached_by_tab_and_shows_it(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/style-guide/error/500?as=admin")
    wanted = page.evaluate(
        """() => {
            const all = [...document.querySelectorAll("a[href], button, input, summary")];
            const shown = all.filter(e => e.checkVisibility());
            shown.forEach((e, index) => (e.dataset.place = index));
            return shown.length;
        }"""
    )
    reached, unseen = set(), []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        place, is_seen, what = page.evaluate(
            """() => {
                const e = document.activeElement;
                const style = getComputedStyle(e.closest(".searchbox") ?? e);
                const outline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                return [e.dataset.place, outline, e.outerHTML.slice(0, 120)];
            }"""
        )
        reached.add(place)
        if not is_seen:
            unseen.append(what)
    assert len(reached) == wanted > 10
    assert unseen == []


def test_print_shows_the_text_and_its_address_and_no_navigation(open_page: Open, guide_url: str) -> None:
    page = open_page(f"{guide_url}/style-guide")
    page.emulate_media(media="print")
    assert not page.locator(".masthead").is_visible()
    assert not page.locator(".page__rail").is_visible()
    assert page.locator("article.prose").is_visible()
    assert page.locator(".print-address").inner_text().endswith("/style-guide")
