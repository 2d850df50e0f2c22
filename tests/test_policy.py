"""Who may ask for what: a row for every route.  A route without a row fails, and so does a row without a route.

The rows name the least role that gets through.  Beyond that, whatever has an address of its own answers somebody
who may not see it exactly as it answers for a thing that does not exist.
"""

import re
from functools import partial
from io import BytesIO
from urllib.parse import quote

import pytest
from sqlalchemy import event

from portal import outbox
from portal.access import Role
from portal.accounts import sessions, tokens
from portal.accounts.guard import FOR_PROGRAMS, UNDECLARED, needs, refuse_undeclared, undeclared_routes
from portal.accounts.models import APIToken, UserSession
from portal.attachments import attachments
from portal.extensions import db
from portal.knowledge import reads
from portal.knowledge.models import Article
from portal.search import saved
from portal.search.request import SearchRequest
from portal.service.models import Record
from portal.vocabulary.models import Category, Product, Tag
from tests.moulds import settings_in

ANYBODY, CUSTOMER, AGENT, EDITOR, MANAGER, ADMIN = Role
POLICY = {
    "GET /": ANYBODY,
    "GET /admin": MANAGER,
    "GET /admin/audit": MANAGER,
    "GET /admin/backups": MANAGER,
    "GET /admin/files": AGENT,
    "GET /admin/index": ADMIN,
    "POST /admin/index/builds": ADMIN,
    "POST /admin/index/builds/<int:build_id>/removal": ADMIN,
    "POST /admin/index/checks": ADMIN,
    "POST /admin/index/repairs": ADMIN,
    "POST /admin/index/retries": ADMIN,
    "GET /admin/index/state": ADMIN,
    "GET /admin/users": ADMIN,
    "GET /admin/users/<int:user_id>": ADMIN,
    "POST /admin/users/<int:user_id>/disablement": ADMIN,
    "POST /admin/users/<int:user_id>/enablement": ADMIN,
    "POST /admin/users/<int:user_id>/invitation": ADMIN,
    "POST /admin/users/<int:user_id>/role": ADMIN,
    "POST /admin/users/<int:user_id>/second-factor/removal": ADMIN,
    "POST /admin/users/<int:user_id>/sessions/end": ADMIN,
    "GET /admin/users/new": ADMIN,
    "POST /admin/users/new": ADMIN,
    "GET /api/v1/articles": ANYBODY,
    "POST /api/v1/articles": AGENT,
    "DELETE /api/v1/articles/<int:article_id>": AGENT,
    "GET /api/v1/articles/<int:article_id>": ANYBODY,
    "PATCH /api/v1/articles/<int:article_id>": AGENT,
    "GET /api/v1/customers": AGENT,
    "POST /api/v1/customers": AGENT,
    "DELETE /api/v1/customers/<int:customer_id>": AGENT,
    "GET /api/v1/customers/<int:customer_id>": AGENT,
    "PATCH /api/v1/customers/<int:customer_id>": AGENT,
    "GET /api/v1/openapi.json": ANYBODY,
    "GET /api/v1/records": CUSTOMER,
    "POST /api/v1/records": CUSTOMER,
    "DELETE /api/v1/records/<int:record_id>": MANAGER,
    "GET /api/v1/records/<int:record_id>": CUSTOMER,
    "PATCH /api/v1/records/<int:record_id>": AGENT,
    "POST /api/v1/records/<int:record_id>/entries": CUSTOMER,
    "GET /api/v1/search": ANYBODY,
    "GET /api/v1/search/why": AGENT,
    "POST /api/v1/searches/<string:search_id>/click": ANYBODY,
    "GET /api/v1/suggest": ANYBODY,
    "GET /articles/<slug>": ANYBODY,
    "POST /articles/<slug>/archiving": EDITOR,
    "POST /articles/<slug>/attachments": AGENT,
    "GET /articles/<slug>/attachments/<int:attachment_id>": ANYBODY,
    "POST /articles/<slug>/attachments/<int:attachment_id>/removal": AGENT,
    "GET /articles/<slug>/deletion": AGENT,
    "POST /articles/<slug>/deletion": AGENT,
    "GET /articles/<slug>/edit": AGENT,
    "POST /articles/<slug>/edit": AGENT,
    "GET /articles/<slug>/history": AGENT,
    "POST /articles/<slug>/history/<int:version>/restoration": AGENT,
    "POST /articles/<slug>/publication": EDITOR,
    "GET /articles/<slug>/translation": AGENT,
    "POST /articles/<slug>/translation": AGENT,
    "POST /articles/<slug>/vote": ANYBODY,
    "POST /articles/<slug>/withdrawal": EDITOR,
    "GET /articles/new": AGENT,
    "POST /articles/new": AGENT,
    "POST /articles/preview": AGENT,
    "GET /ask": CUSTOMER,
    "POST /ask": CUSTOMER,
    "GET /ask/answers": CUSTOMER,
    "GET /board": AGENT,
    "GET /callers": AGENT,
    "GET /categories": ANYBODY,
    "GET /categories/<slug>": ANYBODY,
    "GET /customers": AGENT,
    "GET /customers/<int:customer_id>": AGENT,
    "POST /customers/<int:customer_id>/archiving": AGENT,
    "GET /customers/<int:customer_id>/profile": AGENT,
    "POST /customers/<int:customer_id>/profile": AGENT,
    "GET /customers/new": AGENT,
    "POST /customers/new": AGENT,
    "GET /desk": AGENT,
    "POST /desk/changes": AGENT,
    "POST /desk/changes/undo": AGENT,
    "GET /healthz": ANYBODY,
    "GET /help": ANYBODY,
    "GET /invitation/<token>": ANYBODY,
    "POST /invitation/<token>": ANYBODY,
    "GET /knowledge": ANYBODY,
    "GET /me": CUSTOMER,
    "POST /me": CUSTOMER,
    "POST /me/password": CUSTOMER,
    "GET /metrics": AGENT,
    "GET /me/second-factor": CUSTOMER,
    "POST /me/second-factor": CUSTOMER,
    "POST /me/second-factor/confirmation": CUSTOMER,
    "GET /me/second-factor/picture.svg": CUSTOMER,
    "POST /me/second-factor/recovery-codes": CUSTOMER,
    "POST /me/second-factor/removal": CUSTOMER,
    "GET /me/searches": CUSTOMER,
    "POST /me/searches": CUSTOMER,
    "POST /me/searches/<int:saved_id>": CUSTOMER,
    "POST /me/searches/<int:saved_id>/deletion": CUSTOMER,
    "POST /me/searches/<int:saved_id>/pause": CUSTOMER,
    "POST /me/searches/<int:saved_id>/resumption": CUSTOMER,
    "POST /me/searches/forgetting": CUSTOMER,
    "POST /me/searches/keeping": CUSTOMER,
    "POST /me/sessions/<int:session_id>/end": CUSTOMER,
    "POST /me/sessions/end": CUSTOMER,
    "POST /me/tokens": CUSTOMER,
    "POST /me/tokens/<int:token_id>/revocation": CUSTOMER,
    "GET /opensearch.xml": ANYBODY,
    "GET /products": ANYBODY,
    "GET /products/<slug>": ANYBODY,
    "GET /readyz": ANYBODY,
    "GET /records": CUSTOMER,
    "GET /records/<string:number>": CUSTOMER,
    "POST /records/<string:number>/articles": AGENT,
    "POST /records/<string:number>/articles/<int:article_id>/removal": AGENT,
    "POST /records/<string:number>/assignee": AGENT,
    "GET /records/<string:number>/details": AGENT,
    "POST /records/<string:number>/details": AGENT,
    "GET /records/<string:number>/attachments/<int:file_id>": CUSTOMER,
    "POST /records/<string:number>/entries": CUSTOMER,
    "POST /records/<string:number>/links": AGENT,
    "POST /records/<string:number>/links/<string:other>/removal": AGENT,
    "POST /records/<string:number>/presence": AGENT,
    "POST /records/<string:number>/resolution": CUSTOMER,
    "GET /records/<string:number>/similar": AGENT,
    "POST /records/<string:number>/state": AGENT,
    "GET /records/new": AGENT,
    "POST /records/new": AGENT,
    "GET /reports": MANAGER,
    "GET /reports/searches": MANAGER,
    "GET /reports/searches/queries.csv": MANAGER,
    "GET /reports/searches/query": MANAGER,
    "GET /requests": CUSTOMER,
    "GET /reset": ANYBODY,
    "POST /reset": ANYBODY,
    "GET /reset/<token>": ANYBODY,
    "POST /reset/<token>": ANYBODY,
    "GET /saved-searches/<token>/pause": ANYBODY,
    "POST /saved-searches/<token>/pause": ANYBODY,
    "GET /search": ANYBODY,
    "GET /search/facets/<name>": ANYBODY,
    "GET /search/why": AGENT,
    "GET /sign-in": ANYBODY,
    "POST /sign-in": ANYBODY,
    "POST /sign-in/code": ANYBODY,
    "POST /sign-out": ANYBODY,
    "GET /steering": EDITOR,
    "GET /steering/synonyms": EDITOR,
    "POST /steering/synonyms": EDITOR,
    "GET /steering/synonyms/lines": EDITOR,
    "POST /steering/synonyms/lines": EDITOR,
    "GET /steering/synonyms/<int:synonym_id>": EDITOR,
    "POST /steering/synonyms/<int:synonym_id>": EDITOR,
    "POST /steering/synonyms/<int:synonym_id>/activation": EDITOR,
    "POST /steering/synonyms/<int:synonym_id>/deactivation": EDITOR,
    "POST /steering/synonyms/<int:synonym_id>/deletion": EDITOR,
    "POST /steering/synonyms/<int:synonym_id>/previews": EDITOR,
    "GET /steering/rules": EDITOR,
    "POST /steering/rules": EDITOR,
    "GET /steering/rules/<int:rule_id>": EDITOR,
    "POST /steering/rules/<int:rule_id>": EDITOR,
    "POST /steering/rules/<int:rule_id>/activation": EDITOR,
    "POST /steering/rules/<int:rule_id>/deactivation": EDITOR,
    "POST /steering/rules/<int:rule_id>/deletion": EDITOR,
    "POST /steering/rules/<int:rule_id>/previews": EDITOR,
    "POST /steering/steps/<int:step_id>/undo": EDITOR,
    "GET /steering/previews/<int:preview_id>": EDITOR,
    "GET /steering/previews/<int:preview_id>/state": EDITOR,
    "GET /steering/sets": EDITOR,
    "POST /steering/sets": EDITOR,
    "GET /steering/sets/<int:set_id>": EDITOR,
    "POST /steering/sets/<int:set_id>/deletion": EDITOR,
    "POST /steering/sets/<int:set_id>/queries": EDITOR,
    "POST /steering/sets/<int:set_id>/files": EDITOR,
    "GET /steering/sets/<int:set_id>/queries.jsonl": EDITOR,
    "GET /steering/sets/<int:set_id>/qrels.tsv": EDITOR,
    "GET /steering/judging/<int:query_id>": EDITOR,
    "POST /steering/judging/<int:query_id>": EDITOR,
    "GET /steering/judging/<int:query_id>/lists": EDITOR,
    "POST /steering/judging/<int:query_id>/lists": EDITOR,
    "GET /steering/configurations": EDITOR,
    "POST /steering/configurations": EDITOR,
    "GET /steering/configurations/<int:configuration_id>": EDITOR,
    "POST /steering/configurations/<int:configuration_id>": EDITOR,
    "POST /steering/configurations/<int:configuration_id>/deletion": EDITOR,
    "POST /steering/configurations/<int:configuration_id>/measurements": EDITOR,
    "POST /steering/configurations/<int:configuration_id>/activation": EDITOR,
    "POST /steering/configurations/<int:configuration_id>/previews": EDITOR,
    "GET /steering/measurements": EDITOR,
    "POST /steering/measurements": EDITOR,
    "GET /steering/measurements/state": EDITOR,
    "GET /tags": ANYBODY,
    "GET /tags/<slug>": ANYBODY,
    "GET /vocabulary": EDITOR,
    "GET /vocabulary/categories": EDITOR,
    "POST /vocabulary/categories": EDITOR,
    "GET /vocabulary/categories/<slug>": EDITOR,
    "POST /vocabulary/categories/<slug>": EDITOR,
    "POST /vocabulary/categories/<slug>/deletion": EDITOR,
    "GET /vocabulary/families": EDITOR,
    "POST /vocabulary/families": EDITOR,
    "GET /vocabulary/families/<slug>": EDITOR,
    "POST /vocabulary/families/<slug>": EDITOR,
    "POST /vocabulary/families/<slug>/deletion": EDITOR,
    "GET /vocabulary/products": EDITOR,
    "POST /vocabulary/products": EDITOR,
    "GET /vocabulary/products/<slug>": EDITOR,
    "POST /vocabulary/products/<slug>": EDITOR,
    "POST /vocabulary/products/<slug>/deletion": EDITOR,
    "GET /vocabulary/tags": EDITOR,
    "POST /vocabulary/tags": EDITOR,
    "GET /vocabulary/tags/<slug>": EDITOR,
    "POST /vocabulary/tags/<slug>": EDITOR,
    "POST /vocabulary/tags/<slug>/deletion": EDITOR,
    "POST /vocabulary/tags/<slug>/merger": EDITOR,
}
WRITTEN_BY_READING = {"search_log"}
"""The tables that a GET may write: what was searched is counted."""
WITHOUT_CSRF = {"POST /api/v1/searches/<string:search_id>/click"}
"""Browsers send these as beacons, which carry no header; they count a click and nothing else."""
SAFE = {"GET", "HEAD", "OPTIONS"}
ROLES = list(Role)
on_postgresql = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
"""For what asks every route: it is asked where it answers as in production."""
PARAMETER = re.compile(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>")


def routes_of(app):
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in UNDECLARED
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


def address(rule, values):
    # A file's number means another thing below articles than below records.
    if rule.startswith("/articles/"):
        values = {**values, "attachment_id": values["article_attachment_id"]}
    return PARAMETER.sub(lambda found: str(values[found[1]]), rule)


MISSING = {
    "file_id": 2000000099,
    "article_id": 2000000001,
    "article_attachment_id": 2000000014,
    "attachment_id": 2000000010,
    "build_id": 2000000015,
    "customer_id": 2000000002,
    "record_id": 2000000003,
    "name": "n-2000000016",
    "search_id": "n-2000000004",
    "slug": "n-2000000011",
    "synonym_id": 2000000012,
    "rule_id": 2000000020,
    "step_id": 2000000021,
    "preview_id": 2000000022,
    "set_id": 2000000023,
    "query_id": 2000000024,
    "configuration_id": 2000000025,
    "version": 2000000013,
    "saved_id": 2000000017,
    "session_id": 2000000005,
    "token_id": 2000000006,
    "user_id": 2000000007,
    "number": "X-2000000008",
    "other": "X-2000000009",
    "token": "A" * 43,
}
"""A value for every parameter in an address, that belongs to nothing."""


def test_every_route_has_a_row_and_every_row_a_route(app):
    routes = routes_of(app)
    assert sorted(routes - set(POLICY)) == [], "These routes have no row in POLICY."
    assert sorted(set(POLICY) - routes) == [], "These rows have no route."


def test_every_parameter_has_a_missing_value(app):
    assert {name for route in routes_of(app) for name in PARAMETER.findall(route)} <= set(MISSING)


@pytest.fixture
def settings(request, tmp_path):
    """SQLite, unless a test is one `on_postgresql`."""
    is_postgresql = getattr(request, "param", "sqlite") == "postgresql"
    return request.getfixturevalue("postgres_settings") if is_postgresql else settings_in(tmp_path)


@pytest.fixture
def hollow(app):
    """The portal with views that do nothing: only the guard answers."""
    for endpoint, view in list(app.view_functions.items()):

        def nothing(**_values):
            return "", 204

        nothing.__dict__.update(view.__dict__)
        app.view_functions[endpoint] = nothing
    return app


def is_refused(answer, person):
    if person.user_id is not None:
        assert answer.status_code in (204, 403), answer.request.path
        return answer.status_code == 403
    if answer.status_code == 303:
        assert answer.location.startswith("/sign-in")
        return True
    if answer.status_code == 401:
        assert answer.request.path.startswith(FOR_PROGRAMS)
        assert "Bearer" in answer.headers["WWW-Authenticate"].title()
        return True
    assert answer.status_code == 204, answer.request.path
    return False


@on_postgresql
def test_each_role_gets_through_where_its_row_says(hollow, people, client_for):
    wrong = []
    for person in people.everybody:
        client = client_for(person)
        for route, least in POLICY.items():
            method, rule = route.split(" ", 1)
            answer = client.open(address(rule, MISSING), method=method)
            should_be = ROLES.index(person.role) < ROLES.index(least)
            if is_refused(answer, person) is not should_be:
                wrong.append(f"{person.role}: {route}")
    assert wrong == []


@pytest.mark.thorough
def test_a_token_has_its_owners_rights_and_no_more(hollow, people, token_for):
    wrong = []
    for person in people.everybody[1:]:
        client, headers = hollow.test_client(), token_for(person)
        client.csrf = False
        for route, least in POLICY.items():
            method, rule = route.split(" ", 1)
            if not rule.startswith(FOR_PROGRAMS):
                continue
            answer = client.open(address(rule, MISSING), method=method, headers=headers)
            should_be = ROLES.index(person.role) < ROLES.index(least)
            if is_refused(answer, person) is not should_be:
                wrong.append(f"{person.role}: {route}")
    assert wrong == []


def test_a_token_opens_no_page(hollow, people, token_for):
    answer = hollow.test_client().get("/me", headers=token_for(people.fred))
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "header", ["Bearer cb_unknown", "Bearer ", "bearer x", "Bearer \udcff".encode("utf-8", "replace").decode()]
)
def test_a_wrong_token_is_told_even_beside_a_session(hollow, people, client_for, header):
    answer = client_for(people.fred).get("/api/v1/search", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json["error"]["code"] == "unauthorized"


@on_postgresql
def test_no_unsafe_method_without_the_csrf_token(hollow, people, client_for):
    open_ones = []
    for person in (people.ann, people.fred):
        client = client_for(person)
        client.csrf = False
        for route in POLICY:
            method, rule = route.split(" ", 1)
            if method in SAFE or route in WITHOUT_CSRF:
                continue
            for more in ({}, {"headers": {"X-CSRFToken": "wrong"}}, {"headers": {"Authorization": "Basic eA=="}}):
                answer = client.open(address(rule, MISSING), method=method, **more)
                is_led_away = person is people.ann and answer.status_code == 303 and "/api/" not in rule
                if answer.status_code != 400 and not is_led_away:
                    open_ones.append(f"{person.name}: {route} {more}")
    assert open_ones == []


def test_a_token_of_another_session_is_no_csrf_token(hollow, people, client_for):
    alice, bob = client_for(people.alice), client_for(people.bob)
    with bob.session_transaction() as session:
        session["csrf_token"] = "1" * 40
    assert alice.post("/me", headers={"X-CSRFToken": bob.csrf_token()}).status_code == 400
    assert alice.post("/me", headers={"X-CSRFToken": alice.csrf_token()}).status_code == 204


def test_a_route_that_declares_nothing_stops_the_start(app):
    def forgotten():
        return ""

    app._got_first_request = False
    app.add_url_rule("/forgotten", view_func=forgotten, methods=["GET", "POST"])
    assert undeclared_routes(app) == ["GET /forgotten", "POST /forgotten"]
    with pytest.raises(RuntimeError, match="GET /forgotten"):
        refuse_undeclared(app)
    app.view_functions["forgotten"] = needs("read")(forgotten)
    refuse_undeclared(app)


# Things that have an owner


@pytest.fixture
def things(app, people):
    """What each of Alice and Bob has; articles that customers may not read count as nobody's."""

    def of(person, customer_id, name):
        record = Record(
            number=f"T-{name.upper()}", subject=f"Subject {name}", customer_id=customer_id, requester_id=person.user_id
        )
        db.session.add(record)
        db.session.flush()
        outbox.record(record)
        file = attachments.store(
            BytesIO(name.encode()), file_name="notes.txt", owner_kind="record", owner_id=record.id, by=person.viewer
        )
        sessions.start(person.user)
        db.session.commit()
        kept = saved.save(SearchRequest(viewer=person.viewer, text=name), by=person.viewer, name=name, every="day")
        tokens.create(person.user, name=name, by=None)
        return {
            "file_id": file.id,
            "record_id": record.id,
            "number": record.number,
            "other": record.number,
            "customer_id": customer_id,
            "user_id": person.user_id,
            "session_id": db.session.query(UserSession.id)
            .filter_by(user_id=person.user_id)
            .order_by(UserSession.id)
            .first()[0],
            "saved_id": kept.id,
            "token_id": db.session.query(APIToken.id).filter_by(user_id=person.user_id).scalar(),
        }

    def article(title, **fields):
        made = Article(kind="faq", title=title, slug=title, owner_id=people.dora.user_id, **fields)
        db.session.add(made)
        db.session.flush()
        outbox.record(made)
        return made.id

    articles = {
        "public": article("public", state="published"),
        "customers": article("customers", state="published", audience="customers"),
        "internal": article("internal", state="published", audience="internal"),
        "draft": article("draft", state="draft"),
        "shared": article("shared", state="draft", is_shared=True),
        "archived": article("archived", state="archived"),
    }
    # The shelves, words and files around one article that Alice may read and one that she may not.
    files = {}
    for title, audience in (("customers", "public"), ("internal", "internal")):
        tag = Tag(name=title, slug=title)
        db.session.add(tag)
        db.session.add(Category(name=title, slug=title, audience=audience, effective_audience=audience))
        held = db.session.get_one(Article, articles[title])
        held.tags.append(tag)
        outbox.record(held)
        files[title] = attachments.store(
            BytesIO(b"text"), file_name="a.txt", owner_kind="article", owner_id=held.id, by=people.dora.viewer
        ).id
    db.session.add(Product(name="customers", slug="customers"))
    db.session.commit()
    fill = {
        name: MISSING[name]
        for name in (
            "search_id",
            "token",
            "synonym_id",
            "rule_id",
            "step_id",
            "preview_id",
            "set_id",
            "query_id",
            "configuration_id",
            "version",
            "build_id",
        )
    }

    def own(title):
        return {"article_id": articles[title], "slug": title, "article_attachment_id": files[title]}

    return {
        "alice": {**fill, **of(people.alice, people.company_a, "alice"), **own("customers"), "name": "tag"},
        "bob": {**fill, **of(people.bob, people.company_b, "bob"), **own("internal"), "name": "assignee"},
        "articles": articles,
    }


def plain(answer, path):
    """An answer without what differs by address, by time or by chance."""
    text = re.sub(r"(csrf[-_]token\"? (?:content|value)|value)=\"[^\"]*\"", "", answer.text)
    for written in (path, quote(path), quote(path, safe="")):
        text = text.replace(written, "…")
    return answer.status_code, text, answer.headers.get("Location", "").replace(quote(path), "…")


@on_postgresql
@pytest.mark.parametrize("name", ["ann", "alice"])
def test_somebody_elses_thing_answers_like_a_missing_one(app, people, client_for, things, name):
    told = []
    for route in POLICY:
        method, rule = route.split(" ", 1)
        if "<" not in rule:
            continue
        theirs, none = (
            plain(client_for(getattr(people, name)).open(path, method=method), path)
            for path in (address(rule, things["bob"]), address(rule, MISSING))
        )
        if theirs != none:
            told.append(f"{route}: {theirs[0]} and {none[0]}")
    assert told == []


@pytest.mark.thorough
def test_what_lies_in_somebody_elses_thing_is_not_reached_through_ones_own(app, people, client_for, things):
    told = []
    for route in POLICY:
        method, rule = route.split(" ", 1)
        names = PARAMETER.findall(rule)
        if len(names) < 2:
            continue
        own = {names[0]: things["alice"][names[0]]}
        theirs, none = (
            plain(client_for(people.alice).open(path, method=method), path)
            for path in (address(rule, things["bob"] | own), address(rule, MISSING | own))
        )
        if theirs != none:
            told.append(f"{route}: {theirs[0]} and {none[0]}")
    assert told == []


@pytest.mark.thorough
def test_ones_own_things_answer(app, people, client_for, things):
    client = client_for(people.alice)
    for route, least in POLICY.items():
        method, rule = route.split(" ", 1)
        if method == "GET" and "<" in rule and "<token>" not in rule and least in (ANYBODY, CUSTOMER):
            assert client.get(address(rule, things["alice"])).status_code == 200, route


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("ann", {"public"}),
        ("alice", {"public", "customers"}),
        ("carol", {"public", "customers", "internal", "shared", "archived"}),
        ("dora", {"public", "customers", "internal", "shared", "archived", "draft"}),
        ("erin", {"public", "customers", "internal", "shared", "archived", "draft"}),
        ("fred", {"public", "customers", "internal", "shared", "archived", "draft"}),
    ],
)
def test_articles_are_read_by_their_audience(app, people, client_for, things, name, readable):
    client = client_for(getattr(people, name))
    answers = {
        title: client.get(f"/api/v1/articles/{article_id}").status_code
        for title, article_id in things["articles"].items()
    }
    assert answers == {title: 200 if title in readable else 404 for title in things["articles"]}


@on_postgresql
def test_no_get_writes(app, people, client_for, things, monkeypatch):
    # Readings are added up in memory, and their sums written by whichever answer comes some seconds later.
    monkeypatch.setattr(reads, "EVERY_S", float("inf"))
    writes = []

    def listen(route, _connection, _cursor, statement, *_more):
        found = re.match(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', statement)
        if found and found[1] not in WRITTEN_BY_READING:
            writes.append(f"{route}: {statement.split(chr(10))[0][:80]}")

    for person in (people.ann, people.alice, people.fred):
        client = client_for(person)
        for route in POLICY:
            method, rule = route.split(" ", 1)
            if method != "GET":
                continue
            listener = partial(listen, f"{person.name} {route}")
            event.listen(db.engine, "before_cursor_execute", listener)
            try:
                answer = client.get(address(rule, things["alice"]))
            finally:
                event.remove(db.engine, "before_cursor_execute", listener)
            assert answer.status_code < 500 or rule == "/readyz", route
    assert writes == []
