"""Naming somebody else's thing in a form or in JSON is answered like naming nothing, for every field that names one.

The fields are read off the forms, the views and the OpenAPI document, so that a new one fails here until it is tried.
"""

import ast
import difflib
import re
from pathlib import Path

import pytest
from flask_wtf import FlaskForm
from wtforms import Form

from portal.app import ROOT
from portal.customers.models import Contact
from portal.extensions import db
from portal.knowledge.models import Article
from portal.knowledge.rights import may_edit
from portal.service import reading
from portal.service.models import Record
from portal.vocabulary.models import Category
from tests.leaks.house import House, build

NAMING = re.compile(
    r".*_ids?|id|into|translation_of|address|article|assignee|category|categor.*|products?|number|owner"
)
"""What a field is called that names another thing."""
MISSING_ID = 2000000001
OPEN = "whoever may fill this in may see all there is to choose"
TOLD_APART = {
    ("RuleForm", "article"): OPEN,
    ("RuleForm", "owner_id"): "chosen from the list on the page alone",
    ("SynonymForm", "owner_id"): "chosen from the list on the page alone",
    ("CategoryForm", "parent_id"): OPEN,
    ("ProductForm", "family_id"): OPEN,
    ("MergeForm", "into"): OPEN,
    ("RoleForm", "customer_id"): OPEN,
    ("InvitationForm", "customer_id"): OPEN,
    ("CustomerForm", "products"): OPEN,
    ("ArticleForm", "product_ids"): OPEN,
    ("ArticleForm", "category_id"): OPEN,
    ("AskForm", "product_id"): OPEN,
    ("DetailsForm", "product_id"): OPEN,
    ("DetailsForm", "category_id"): OPEN,
    ("DetailsForm", "customer_id"): OPEN,
    ("BulkForm", "number"): OPEN,
    ("ArticleIn", "category"): OPEN,
    ("ArticleIn", "products"): OPEN,
    ("ArticleIn", "external_id"): "a name of the caller's own making",
    ("RecordIn", "product"): OPEN,
    ("RecordPatch", "customer_id"): OPEN,
    ("RecordPatch", "category"): OPEN,
    ("RecordPatch", "product"): OPEN,
    ("CustomerIn", "products"): OPEN,
    ("CustomerPatch", "products"): OPEN,
    ("ArticlePatch", "category"): OPEN,
    ("ArticlePatch", "products"): OPEN,
}
"""The fields that have nothing to hide, and why."""


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def fields_of_forms(app):
    found = set()
    for kind in {*subclasses(FlaskForm), *subclasses(Form)}:
        if kind.__module__.startswith("portal."):
            names = {name for name in dir(kind) if hasattr(getattr(kind, name), "field_class")}
            found |= {(kind.__name__, name) for name in names if NAMING.fullmatch(name)}
    return found


def fields_of_schemas(app):
    document = app.test_client().get("/api/v1/openapi.json").json
    found = set()
    for path in document["paths"].values():
        for operation in path.values():
            body = operation.get("requestBody", {}) if isinstance(operation, dict) else {}
            for content in body.get("content", {}).values():
                name = content["schema"]["$ref"].rpartition("/")[2]
                properties = document["components"]["schemas"][name]["properties"]
                found |= {(name, field) for field in properties if NAMING.fullmatch(field)}
    return found


def fields_of_views():
    """What views read off a form by themselves: `request.form.get(…)`, `request.form[…]` and `_sent(…)`."""
    found = set()
    for path in Path(ROOT / "portal").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            called = ast.unparse(node.func)
            if called in ("request.form.get", "request.form.getlist", "_sent") and NAMING.fullmatch(
                str(node.args[0].value)
            ):
                found.add(("view", str(node.args[0].value)))
    return found


@pytest.fixture
def settings(postgres_settings):
    """PostgreSQL, which holds references to what is there as it does in production."""
    return postgres_settings


@pytest.fixture
def house(app, people) -> House:
    return build(people)


@pytest.fixture
def tries(app, people, client_for, house):
    """For each field: how somebody names a thing in it; theirs, and one that is not there."""
    alice, carol, dora = map(client_for, (people.alice, people.carol, people.dora))
    own = db.session.query(Record).filter_by(customer_id=people.company_a).first()
    theirs = db.session.query(Record).filter_by(customer_id=people.company_b).first()
    contact = db.session.query(Contact).filter_by(customer_id=people.company_b).one()
    hidden = db.session.query(Category).filter_by(slug="shelf-internal").one()
    draft = db.session.query(Article).filter_by(owner_id=people.dora.user_id, state="draft", is_shared=False).first()
    shared = db.session.query(Article).filter_by(state="draft", is_shared=True).first()
    assert not people.carol.viewer.may_read(draft.readers)
    assert may_edit(shared, people.carol.viewer)
    api, details = "/api/v1/records", {"subject": "x", "version": str(own.version)}
    page = f"/records/{own.number}"
    own_contact = {"kind": "company", "name": "x"}
    version = db.session.get_one(Contact, contact.id).customer.version

    def form(client, path, field, more=None):
        return lambda value: client.post(path, data={**(more or {}), field: str(value)}, follow_redirects=True)

    def post(client, field):
        return lambda value: client.post(api, json={"subject": "x", field: value})

    def patch(client, field):
        return lambda value: client.patch(f"{api}/{own.id}", json={field: value, "version": own.version})

    return {
        ("RecordIn", "customer_id"): (post(alice, "customer_id"), people.company_b, MISSING_ID),
        ("RecordIn", "contact_id"): (post(alice, "contact_id"), contact.id, MISSING_ID),
        ("RecordIn", "category"): (post(alice, "category"), hidden.slug, "n-1"),
        ("RecordIn", "assignee"): (post(alice, "assignee"), people.carol.email, "nobody@example.com"),
        ("RecordPatch", "contact_id"): (patch(carol, "contact_id"), contact.id, MISSING_ID),
        ("RecordPatch", "assignee"): (patch(carol, "assignee"), people.bob.email, "nobody@example.com"),
        ("AskForm", "category_id"): (form(alice, "/ask", "category_id", {"subject": "x"}), hidden.id, MISSING_ID),
        ("DetailsForm", "contact_id"): (form(carol, f"{page}/details", "contact_id", details), contact.id, MISSING_ID),
        ("DetailsForm", "assignee_id"): (
            form(carol, f"{page}/details", "assignee_id", details),
            people.bob.user_id,
            MISSING_ID,
        ),
        ("ResolutionForm", "article_id"): (
            form(carol, f"{page}/resolution", "article_id", {"resolution": "x"}),
            draft.id,
            MISSING_ID,
        ),
        ("BulkForm", "assignee_id"): (
            form(carol, "/desk/changes", "assignee_id", {"record": f"{own.number}.{own.version}"}),
            people.bob.user_id,
            MISSING_ID,
        ),
        ("BulkForm", "number"): (
            form(alice, "/desk/changes", "number", {"record": f"{own.number}.{own.version}"}),
            theirs.number,
            "R-9",
        ),
        ("view", "article_id"): (form(carol, f"{page}/articles", "article_id"), draft.id, MISSING_ID),
        ("view", "assignee_id"): (form(carol, f"{page}/assignee", "assignee_id"), people.bob.user_id, MISSING_ID),
        ("view", "customer_id"): (form(alice, "/ask", "customer_id", {"subject": ""}), people.company_b, MISSING_ID),
        ("view", "number"): (form(alice, f"{page}/links", "number"), theirs.number, "R-999999"),
        ("ArticleForm", "owner_id"): (
            form(carol, f"/articles/{shared.slug}/edit", "owner_id", {"title": "x", "language": "en"}),
            people.bob.user_id,
            MISSING_ID,
        ),
        ("ArticleForm", "translation_of"): (
            form(carol, "/articles/new", "translation_of", {"title": ""}),
            draft.id,
            MISSING_ID,
        ),
        ("TranslationForm", "address"): (
            form(carol, f"/articles/{shared.slug}/translation", "address"),
            draft.slug,
            "n-1",
        ),
        ("ContactRow", "id"): (
            form(
                carol,
                f"/customers/{people.company_a}/profile",
                "contacts-0-id",
                {**own_contact, "contacts-0-name": "x", "version": str(version)},
            ),
            contact.id,
            999_999,
        ),
        ("query", "translation_of"): (
            lambda value: carol.get(f"/articles/new?translation_of={value}"),
            draft.id,
            MISSING_ID,
        ),
        ("query", "customer"): (lambda value: alice.get(f"/api/v1/records?customer_id={value}"), people.company_b, 9),
        ("query", "configuration"): (
            lambda value: dora.get(f"/steering/sets/{value}"),
            MISSING_ID - 1,
            MISSING_ID,
        ),
    }


def test_every_field_that_names_a_thing_is_tried(app, tries):
    derived = fields_of_forms(app) | fields_of_schemas(app) | fields_of_views()
    stated = set(tries) | set(TOLD_APART)
    assert sorted(derived - stated) == [], "These fields name other things; say here how they are tried."
    assert sorted(name for name in stated - derived if name[0] != "query") == [], "These fields are not there any more."


def plain(answer, *values):
    text = re.sub(r"(csrf[-_]token\"? (?:content|value)|value)=\"[^\"]*\"", "", answer.text)
    text = re.sub(r"<time.*?</time>|<option[^>]*>|\"version\":\s*\d+", "", text)
    return answer.status_code, re.sub(
        "|".join(rf"(?<![\w.]){re.escape(str(value))}(?!\w)" for value in values), "…", text
    )


def test_theirs_is_refused_like_what_is_not_there(app, people, tries, monkeypatch):
    wrong = []
    for field, (name, theirs, none) in tries.items():
        held = links_of(people)
        one, other = (plain(name(value), theirs, none) for value in (theirs, none))
        if one != other:
            told = [line for line in difflib.ndiff(one[1].split("\n"), other[1].split("\n")) if line[0] in "+-"]
            wrong.append(f"{field}: {one[0]} and {other[0]}: {told[:4]}")
        if links_of(people) != held:
            wrong.append(f"{field}: it was linked")
    assert wrong == []


def links_of(people):
    """Return what things of Alice, Carol and Bob point to."""
    db.session.expire_all()
    own = db.session.query(Record).filter_by(customer_id=people.company_a).order_by(Record.id).first()
    shared = db.session.query(Article).filter_by(state="draft", is_shared=True).first()
    moved = [row for row in db.session.query(Contact).order_by(Contact.id) if row.customer_id == people.company_b]
    return (
        (own.customer_id, own.contact_id, own.assignee_id, own.category_id),
        [link.article_id for link in own.article_links],
        [record.number for record in reading.load_linked(people.carol.viewer, own)],
        (shared.owner_id, shared.translation_of_id),
        [(row.id, row.name) for row in moved],
        db.session.query(Record).filter_by(customer_id=people.company_b).count(),
    )
