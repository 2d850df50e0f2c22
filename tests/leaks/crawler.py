"""Follows everything that a browser could follow by looking: links, forms that ask, fragments, downloads, JSON."""

import html
import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from werkzeug.test import TestResponse

from tests.leaks import headers
from tests.leaks.house import COMMON
from tests.people import Browser
from tests.test_policy import PARAMETER

SHORT = 2
VARIANTS = int(os.environ.get("CRAWL_VARIANTS", SHORT))
"""How many different queries are followed for one path; a long run sets CRAWL_VARIANTS=100 and asks for every name
of everything at every address."""
FOLLOWED = re.compile(r"(?:href|src|action|data-[\w-]+|hx-get|content)=\"([^\"]*)\"|\"(?:url|path)\":\s*\"([^\"]*)\"")
FORM = re.compile("<form.*?</form>", re.DOTALL)
PLAIN_TYPES = ("text", "search", "email", "number", None)


@dataclass(frozen=True)
class Seen:
    """One answer: where, and everything of it in which something could stand."""

    path: str
    status: int
    text: str
    lacking: tuple[str, ...]
    """What should guard it and does not."""


class _Forms(HTMLParser):
    """Collects the forms of a page that ask by GET, filled in with the word that everything holds."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self._action: str | None = None
        self._fields: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and (given.get("method") or "get").lower() == "get":
            self._action, self._fields = given.get("action") or "", []
        elif tag == "input" and self._action is not None and given.get("name"):
            is_typed = given.get("type") in PLAIN_TYPES
            self._fields.append((given["name"] or "", given.get("value") or (COMMON if is_typed else "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._action is not None:
            self.addresses.append(f"{self._action}?{urlencode(self._fields)}")
            self._action = None


def crawl(
    client: Browser, starts: Iterable[str], *, is_private: bool, follows: bool, sent: Mapping[str, str] | None = None
) -> list[Seen]:
    """Ask for the given addresses and for all that their answers lead to; every answer is seen once.

    `is_private` says that somebody is signed in, and `sent` are headers to send with each.
    """
    waiting, known, variants = deque(dict.fromkeys(starts)), set(), Counter[str]()
    given = set(waiting)
    seen: list[Seen] = []
    while waiting:
        address = waiting.popleft()
        parts = urlsplit(address)
        if (
            address in known
            or parts.netloc not in ("", "127.0.0.1:8000", "localhost")
            or not parts.path.startswith("/")
        ):
            continue
        if parts.path.startswith("/static/"):
            continue
        variants[parts.path] += 1
        if variants[parts.path] > VARIANTS and address not in given:
            continue
        known.add(address)
        asked = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = client.get(asked, headers=sent)
        found = Seen(asked, answer.status_code, everything_of(answer), headers.lacking(answer, is_private=is_private))
        seen.append(found)
        if follows or answer.location:
            waiting.extend(addresses_in(answer, asked))
    return seen


def everything_of(answer: TestResponse) -> str:
    """Return status line, headers and body as one text; references of characters are resolved, too."""
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    body = answer.data.decode("utf-8", "replace")
    return f"{answer.status}\n{head}\n{body}\n{html.unescape(body) if '&#' in body else ''}"


def addresses_in(answer: TestResponse, path: str) -> list[str]:
    """Return where an answer leads to."""
    if answer.location:
        return [urljoin(path, answer.location)]
    if not answer.mimetype.startswith(("text/html", "application/json", "application/xml", "application/open")):
        return []
    text = answer.text
    found = [one or other for one, other in FOLLOWED.findall(text)]
    forms = _Forms()
    forms.feed("".join(FORM.findall(text)) if answer.mimetype == "text/html" else "")
    addresses = [*(html.unescape(address) for address in found), *forms.addresses]
    return [urljoin(path, address).partition("#")[0] for address in addresses if address[:1] in ("/", "?")]


def addresses_of(app: Any, values: Iterable[dict[str, Any]], *, method: str = "GET") -> list[str]:
    """Return the addresses of all things: every route by every set of values that fills it."""
    rules = [rule.rule for rule in app.url_map.iter_rules() if method in rule.methods and rule.endpoint != "static"]
    made = []
    for rule in rules:
        names = set(PARAMETER.findall(rule))
        if not names:
            made.append(rule)
        for each in values:
            is_elsewhere = "slug" in names and each.get("at", "") not in rule and VARIANTS == SHORT
            if names and names <= set(each) and not is_elsewhere:
                made.append(PARAMETER.sub(lambda found, each=each: quote(str(each[found[1]]), safe=""), rule))  # type: ignore[misc]
    return list(dict.fromkeys(made))


def questions() -> list[str]:
    """Return what is asked beside the addresses: searches in every way, lists by every order, files in place."""
    lists = [
        f"/api/v1/{kind}?{query}"
        for kind in ("articles", "records", "customers")
        for query in ("size=100", "source=elsewhere", "state=draft", "kind=faq")
    ]
    return [
        f"/search?q={COMMON}",
        f"/search?q={COMMON}&sort=newest",
        f"/search?q={COMMON[:7]}",
        f"/search?q={COMMON}x",
        "/search?kind=customer",
        "/search?kind=record",
        f"/search?q={COMMON}&page=2",
        f"/api/v1/search?q={COMMON}&size=100",
        f"/api/v1/search?q={COMMON}&kind=record&size=100",
        "/api/v1/search?size=100&sort=newest",
        *(f"/search/facets/{name}?q={COMMON}" for name in ("tag", "category", "product", "kind", "assignee", "status")),
        *(f"/api/v1/suggest?q={typed}" for typed in (COMMON[:4], COMMON, "zq", "灯笼")),
        f"/ask/answers?subject={COMMON}",
        f"/callers?caller={COMMON}",
        f"/customers?q={COMMON}",
        f"/search/why?q={COMMON}&id=article:1",
        f"/api/v1/search/why?q={COMMON}&id=record:1",
        "/board?show=all",
        "/desk?queue=all",
        "/requests?queue=all",
        "/admin/audit?who=Fred",
        f"/reports/searches/query?key={COMMON}",
        *lists,
        "/categories?lang=zh",
        *(f"/categories/shelf-{audience}?sort=title" for audience in ("public", "customers", "internal")),
        f"/search?q={COMMON}&sort=popular",
        "/?lang=en",
    ]
