"""Whatever is sent, the portal answers with something, or refuses in its own words: never with a fault.

The API is asked by its OpenAPI document (schemathesis), with values that fit it and values that do not; every route of
the map, pages and forms with all names that the product reads, by requests that Hypothesis makes.  Short and always
the same in the suite; FUZZ_REQUESTS=20000 is the long form.  The portal runs on PostgreSQL, which refuses more than
SQLite does: NUL in a text, numbers out of range, references to nothing.
"""

import ast
import json
import os
import re
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import schemathesis
from flask_wtf import FlaskForm
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as habits
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from portal.app import ROOT
from portal.extensions import limiter
from tests.leaks.house import COMMON, build
from tests.leaks.snapshot import Snapshot
from tests.leaks.test_assignment import everything
from tests.leaks.test_references import subclasses
from tests.test_policy import MISSING, PARAMETER, POLICY, address

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "600"))
FOR_THE_API = 0.35
FRESH_EVERY = 100
NAMES = ("ann", "alice", "carol", "dora", "erin", "fred")
NOT_A_FAULT = {"/readyz"}
"""It says 503 on purpose, as no worker runs here."""
STEADY = habits(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NASTY = [
    "", " ", "0", "-1", "1", "2147483647", "2147483648", "99999999999999999999", "1e309", "NaN", "0x10", "١",
    "1.5", "true", "null", "None", "[]", "{}", "a" * 5000, "汉" * 2000, "\x00", "a\x00b", "\ud800",
    "\udfff\ud800", "\u202e", "\ufeff", "\x1b[31m", "\r\nSet-Cookie: x=1", "../../etc/passwd", "..\\..\\x",
    "%", "%%", "_", "'", '"', "' OR 1=1 --", "{{7*7}}", "${7*7}", "<script>", "&lt;", "//evil.example",
    "javascript:alert(1)", "9999-12-31", "0001-01-01", "10000-01-01", "2026-02-30", "2026-01-01..2026-12-31",
    "9999-99-99..0", "T25:61:61Z", "1970-01-01T00:00:00+99:99", "faq", "article:1", "article:99999999999999",
    "customer:x", "published", "draft", "en", "zh", "xx-YY", "admin", "agent", "pin", "hide", COMMON,
    f'"{COMMON}', f"-{COMMON}", "tag:", "id:", "kind:faq", "(a+)+$", "\\", "\\x", "*", "a@b.example",
    "+49 30 1234567", "on", "y", "yes", "no", "day", "hour", "R-000001", "r-000001", "=1+1", "@SUM(A1)",
]  # fmt: skip
BYTES = [b"%ff", b"%ed%a0%80", b"%c0%80", b"%00", b"%", b"%zz", b"%f8%88%80%80%80", b"\xff", b"+", b"%2e%2e%2f"]


def names_read():
    """Every name that the product reads of a request: fields of forms, and what views ask for by themselves."""
    found = set()
    for kind in subclasses(FlaskForm):
        if kind.__module__.startswith("portal."):
            found |= {name for name in dir(kind) if hasattr(getattr(kind, name), "field_class")}
    for path in Path(ROOT / "portal").rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if (isinstance(node, ast.Call) and "request." in ast.unparse(node.func)) or isinstance(node, ast.Subscript):
                inner = node.args[:1] if isinstance(node, ast.Call) else [node.slice]
                found |= {
                    each.value for each in inner if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
    facets = {"kind", "category", "product", "tag", "language", "status", "updated", "sort", "page", "q", "size"}
    return sorted(name for name in found | facets | {"lang", "theme"} if re.fullmatch(r"[a-zA-Z_][\w-]{0,30}", name))


text = st.one_of(st.sampled_from(NASTY), st.text(max_size=40), st.integers().map(str), st.dates().map(str))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def requests(draw, house, names):
    """One request: by somebody, to some route, with some of the names and some of the values."""
    route = draw(st.sampled_from(sorted(POLICY)))
    method, rule = route.split(" ", 1)
    values = {**MISSING, "article_attachment_id": 1}
    wanted = set(PARAMETER.findall(rule))
    fitting = [
        each for each in house.values if wanted & set(each) and ("slug" not in wanted or each.get("at", "") in rule)
    ]
    if wanted and fitting and draw(st.integers(0, 9)):
        values |= draw(st.sampled_from(fitting))
    path = address(rule, values)
    if wanted and not draw(st.integers(0, 5)):
        odd = draw(text).encode("utf-8", "surrogatepass")
        path = PARAMETER.sub(lambda _found: quote(odd, safe=""), rule)
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), text), max_size=6))
    query = "&".join(f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}" for name, value in pairs)
    if not draw(st.integers(0, 9)):
        query += "&" + draw(st.sampled_from(names)) + "=" + draw(st.sampled_from(BYTES)).decode("latin-1")
    more = {"headers": draw(headers)}
    if method not in ("GET", "DELETE"):
        more |= draw(bodies(names, rule))
    return draw(st.sampled_from(NAMES)), method, f"{path}?{query}", more


headers = st.dictionaries(
    st.sampled_from([
        "Accept-Language", "Idempotency-Key", "If-None-Match", "If-Modified-Since", "Range", "Referer", "User-Agent",
        "HX-Request", "X-Forwarded-For", "X-Forwarded-Host", "Accept", "Content-Encoding", "Sec-Purpose", "DNT",
    ]),
    st.sampled_from(["", "x", "*", "zh-CN,zh;q=0.9,en;q=x", "bytes=0-", "bytes=9-1,5-", "W/\"x\"", "Thu, 99 Foo 2026",
                     "0", "a" * 300, "127.0.0.1, 999.9.9.9", "é", "gzip", "application/json;q=nan"]),
    max_size=3,
)  # fmt: skip


@st.composite
def bodies(draw, names, rule):
    """A body: a form, a form in parts, JSON, or what only looks like one of them."""
    kind = draw(st.integers(0, 9))
    if rule.startswith("/api/") and kind < 8:
        fields = st.dictionaries(st.sampled_from(sorted(everything())), json_values, max_size=5)
        body = draw(st.one_of(fields, json_values))
        written = json.dumps(body).encode("utf-8", "surrogatepass")
        cut = draw(st.integers(0, len(written))) if kind == 7 else len(written)
        return {"data": written[:cut], "content_type": "application/json"}
    if kind == 9:
        raw = draw(st.binary(max_size=200))
        types = ["multipart/form-data; boundary=x", "multipart/form-data", "application/json", "text/plain", "é/ü", ""]
        return {"data": raw, "content_type": draw(st.sampled_from(types))}
    given = draw(st.lists(st.tuples(st.sampled_from(names), text), max_size=10))
    if kind == 8:
        name, value = draw(st.sampled_from(names)), draw(text)
        lines = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{value}"\r\n\r\n{value}\r\n--x--\r\n'
        raw = lines.encode("utf-8", "surrogatepass")
        return {"data": raw[: draw(st.integers(0, len(raw)))], "content_type": "multipart/form-data; boundary=x"}
    pairs = (f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}" for name, value in given)
    return {"data": "&".join(pairs).encode(), "content_type": "application/x-www-form-urlencoded"}


@pytest.fixture
def settings(postgres_settings):
    return postgres_settings


@pytest.fixture
def house(library, people, monkeypatch):
    """A filled and indexed portal that answers faults as it does in production."""
    monkeypatch.setattr(limiter, "enabled", False)
    made = build(people)
    library.catch_up()
    library.app.testing = False
    library.app.config["PROPAGATE_EXCEPTIONS"] = False
    return made


def complaint(answer, path):
    """Return what is wrong with an answer, if anything is."""
    if answer.status_code >= 500 and path.partition("?")[0] not in NOT_A_FAULT:
        return f"{answer.status_code}"
    if answer.status_code < 400 or answer.status_code == 503:
        return None
    if path.startswith("/api/"):
        error = (answer.json or {}).get("error") if answer.is_json else None
        whole = isinstance(error, dict) and {"code", "message", "fields"} <= set(error)
        return None if whole else f"{answer.status_code} in another shape"
    return None if answer.mimetype == "text/html" and answer.text.count("<h1") == 1 else f"{answer.status_code} bare"


# The half-read upload of a refused form is closed by Python itself, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_route_survives_every_value(people, client_for, house):
    names, counted, wrong, clients = names_read(), Counter(), [], {}

    @habits(STEADY, max_examples=int(REQUESTS * (1 - FOR_THE_API)))
    @given(requests(house, names))
    def ask(made):
        name, method, path, more = made
        if counted["requests"] % FRESH_EVERY == 0:
            before.restore()
            clients.clear()
        if name not in clients:
            clients[name] = client_for(getattr(people, name))
        answer = clients[name].open(path, method=method, **more)
        counted["requests"] += 1
        counted[f"{answer.status_code // 100}xx"] += 1
        found = complaint(answer, path)
        if found:
            wrong.append(f"{found}: {name} {method} {path[:300]} {more}")

    with Snapshot() as before:
        ask()
    print(f"pages: {dict(counted)}, {len(names)} names")
    assert wrong == []


def test_the_api_survives_what_fits_its_document_and_what_does_not(app, people, client_for, house, token_for):
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    each = max(4, int(REQUESTS * FOR_THE_API / len(operations) / 2))
    keys = {name: token_for(getattr(people, name)) for name in ("alice", "carol", "fred")}
    counted, wrong = Counter(), []
    assert len(operations) >= 15

    def run(operation, mode):
        @habits(STEADY, max_examples=each)
        @given(case=operation.as_strategy(generation_mode=mode), who=st.sampled_from(sorted(keys)))
        def ask(case, who):
            answer = case.call(headers=keys[who])
            counted["requests"] += 1
            counted[f"{answer.status_code // 100}xx"] += 1
            if answer.status_code >= 400:
                try:
                    error = answer.json().get("error")
                except ValueError:
                    error = None
                whole = isinstance(error, dict) and {"code", "message", "fields"} <= set(error)
                if answer.status_code >= 500 or not whole:
                    wrong.append(f"{answer.status_code}: {who} {case.method} {case.formatted_path} {case.body!r}")

        # Not everything can be asked wrongly: a route without parameters and body has no such requests.
        with suppress(Unsatisfiable) if mode is schemathesis.GenerationMode.NEGATIVE else nullcontext():
            ask()
        before.restore()

    with Snapshot() as before:
        for operation in operations:
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                run(operation, mode)
    print(f"api: {dict(counted)}, {len(operations)} operations")
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[" * 900 + "]" * 900, "1" * 5_000, "-" + "9" * 400]
)
def test_json_without_end_is_refused(app, people, client_for, text):
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client = client_for(people.fred)
    for route in POLICY:
        method, rule = route.split(" ", 1)
        if method in ("POST", "PATCH") and rule.startswith("/api/v1/") and "click" not in rule:
            answer = client.open(address(rule, MISSING), method=method, data=text, content_type="application/json")
            assert complaint(answer, rule) is None, rule
            assert 400 <= answer.status_code < 500, rule
    for undo in (text, json.dumps([["R-000001", 10**30, {}]]), json.dumps([["R-000001", 1, {"subject": ["x"]}]])):
        answer = client.post("/desk/changes/undo", data={"undo": undo})
        assert answer.status_code < 500, undo[:50]
