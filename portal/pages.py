"""What every page shares: language, theme, navigation, dates and numbers, and the headers that guard it.

`init_app` binds it all.  Language and theme are chosen by `?lang=` and `?theme=` on any page: the choice goes into a
cookie and the reader stays where they were, with or without JavaScript.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo, available_timezones

from babel.dates import format_date, format_datetime, format_timedelta, get_month_names
from babel.numbers import format_decimal, format_percent
from flask import Flask, Response, current_app, g, has_request_context, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, get_translations, lazy_gettext
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.wrappers import Response as BaseResponse

from portal.access import Permission
from portal.accounts.guard import OldPage, current_viewer, is_page, page_before
from portal.assets import StaticFiles, asset
from portal.extensions import babel
from portal.settings import Settings

TEMPLATES = Path(__file__).parents[1] / "templates"
TRANSLATIONS = Path(__file__).parent / "translations"
LANGUAGES = {"en": "English", "zh": "中文"}
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE = "language"
THEME_COOKIE = "theme"
ZONE_COOKIE = "zone"
YEAR_S = 365 * 24 * 3600

# Browsers ask for these; everything Chinese is served by the one Chinese catalogue.
ALIASES = {
    "zh": "zh",
    "zh-cn": "zh",
    "zh-sg": "zh",
    "zh-hans": "zh",
    "zh-hans-cn": "zh",
    "zh-hans-sg": "zh",
    "zh-tw": "zh",
    "zh-hk": "zh",
    "zh-mo": "zh",
    "zh-hant": "zh",
    "zh-hant-tw": "zh",
    "zh-hant-hk": "zh",
    "cmn": "zh",
    "yue": "zh",
}

POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One entry of the navigation; it is shown when its path leads somewhere and the viewer may go there."""

    path: str
    label: LazyString
    needs: Permission
    also: tuple[str, ...] = ()
    """Other paths whose pages belong to this room."""
    is_for_customers: bool = False


ROOMS = (
    Room(
        path="/knowledge",
        label=lazy_gettext("Knowledge"),
        needs=Permission.READ,
        also=("/articles", "/categories", "/products", "/tags", "/board", "/vocabulary"),
    ),
    Room(
        path="/requests",
        label=lazy_gettext("My requests"),
        needs=Permission.ASK,
        also=("/records", "/ask"),
        is_for_customers=True,
    ),
    Room(path="/desk", label=lazy_gettext("Desk"), needs=Permission.WORK_RECORDS, also=("/records", "/callers")),
    Room(path="/customers", label=lazy_gettext("Customers"), needs=Permission.READ_CUSTOMERS),
    Room(path="/reports", label=lazy_gettext("Reports"), needs=Permission.READ_REPORTS),
    Room(path="/admin", label=lazy_gettext("Admin"), needs=Permission.READ_AUDIT),
)


def init_app(app: Flask, settings: Settings) -> None:
    """Bind languages, templates' names, headers and static files to the portal."""
    app.config.setdefault("BABEL_TRANSLATION_DIRECTORIES", str(TRANSLATIONS))
    babel.init_app(app, locale_selector=choose_language, timezone_selector=choose_zone)
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # The extension adds it.
        _say, _say_number, newstyle=True, pgettext=_say_in_context
    )
    app.jinja_env.add_extension("jinja2.ext.do")
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(asset=asset, here=here, languages=LANGUAGES, opens=opens, base_url=settings.base_url)
    app.jinja_env.filters.update(
        datetime=show_datetime,
        date=show_date,
        ago=show_ago,
        number=show_number,
        percent=show_percent,
        timedelta=show_timedelta,
        filesize=show_filesize,
        initials=initials,
    )
    app.context_processor(_context)
    app.before_request(_keep_choice)
    headers = dict(HEADERS)
    if settings.base_url.startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"

    @app.after_request
    def guard(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        response.vary.update(["Cookie", "Accept-Language"])
        return response

    app.wsgi_app = StaticFiles(app.wsgi_app, settings.data_dir / "static")  # type: ignore[method-assign]


def choose_language() -> str:
    """Return the interface's language: asked for, chosen before, the account's, the browser's, else English.

    Commands and jobs speak English.
    """
    if not has_request_context():
        return "en"
    asked = request.args.get("lang") or request.cookies.get(LANGUAGE_COOKIE) or _account_language() or ""
    known = language_of(asked)
    if known:
        return known
    for tag, _quality in request.accept_languages:
        known = language_of(tag)
        if known:
            return known
    return "en"


def language_of(tag: str) -> str | None:
    """Return the catalogue that serves a language tag, or None: `zh-Hant-TW` and `zh_CN` are `zh`, `en-GB` is `en`."""
    plain = tag.strip().lower().replace("_", "-")
    return ALIASES.get(plain) or ("en" if plain.split("-")[0] == "en" else None)


def choose_theme() -> str:
    """Return `auto`, `light` or `dark`; `auto` leaves it to the system."""
    theme = request.cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else "auto"


def choose_zone() -> str:
    """Return the reader's time zone, which their browser tells through a cookie; UTC until it has."""
    if not has_request_context():
        return "UTC"
    chosen: str | None = g.get("zone")
    if chosen is None:
        zone = request.cookies.get(ZONE_COOKIE, "")
        chosen = g.zone = zone if zone in _zones() else "UTC"
    return chosen


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # Listing them walks through hundreds of files, and every date of a page asks.
    return frozenset(available_timezones())


def here(**changes: object) -> str:
    """Return this page's address with some parameters changed; None removes one, a list repeats it.

    A changed filter begins at the first page again, unless `page` itself is given.
    """
    values: dict[str, list[str]] = {name: request.args.getlist(name) for name in request.args}
    for name, value in {"page": None, **changes}.items():
        values.pop(name, None)
        if isinstance(value, list | tuple | set | frozenset):
            values[name] = [str(item) for item in value]
        elif value is not None and value != "":
            values[name] = [str(value)]
    query = urlencode([(name, item) for name, items in values.items() for item in items])
    # A path that began with two slashes, or with a backslash, would lead to another site.
    return "/" + quote(request.path.lstrip("/")) + ("?" + query if query else "")


def opens(path: str) -> bool:
    """Say whether some page of the portal answers at this path.  Routes do not change, so it is looked up once."""
    known: dict[str, bool] = current_app.extensions.setdefault("casebook.opens", {})
    if path not in known:
        known[path] = is_page(path)
    return known[path]


def show_datetime(moment: datetime | None, length: str = "medium") -> str:
    """Show a moment in the reader's language and zone, as `21 Nov 2026, 09:14`."""
    if moment is None:
        return ""
    if length == "medium":
        there = moment.astimezone(ZoneInfo(choose_zone()))
        day, comma = _day(there), "" if _locale() == "zh" else ","
        return f"{day}{comma} {there.hour:02}:{there.minute:02}"
    return format_datetime(moment, length, tzinfo=ZoneInfo(choose_zone()), locale=_locale())


def show_date(moment: datetime | date | None, length: str = "medium") -> str:
    """Show a day in the reader's language and zone."""
    if moment is None:
        return ""
    if isinstance(moment, datetime):
        moment = moment.astimezone(ZoneInfo(choose_zone())).date()
    return _day(moment) if length == "medium" else format_date(moment, length, locale=_locale())


def _day(day: date) -> str:
    """Show a day as `21 Nov 2026` or 2026年11月21日.

    By hand, because a page of hits shows forty, and Babel takes 0.3 ms for each.
    """
    if _locale() == "zh":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_months()[day.month]} {day.year}"


@lru_cache(maxsize=1)
def _months() -> Mapping[int, str]:
    return get_month_names("abbreviated", locale="en")


def show_ago(moment: datetime | None) -> str:
    """Say how long ago a moment was, or how far off it is: `3 hours ago`, `in 2 days`."""
    if moment is None:
        return ""
    return format_timedelta(moment - datetime.now(UTC), add_direction=True, locale=_locale())


def show_number(number: int | float | None) -> str:
    """Show a number with the language's separators."""
    if isinstance(number, int) and 0 <= number < 1000:
        # A page of results shows a hundred counts, and these look alike in every language.
        return str(number)
    return "" if number is None else format_decimal(number, locale=_locale())


def show_percent(share: float | None) -> str:
    """Show a share from 0 to 1 as a percentage."""
    return "" if share is None else format_percent(share, locale=_locale())


def show_timedelta(span: timedelta | float | None) -> str:
    """Show a span of time (a timedelta, or seconds) in its largest unit."""
    if span is None:
        return ""
    return format_timedelta(timedelta(seconds=span) if isinstance(span, int | float) else span, locale=_locale())


def show_filesize(size: int) -> str:
    """Show a number of bytes as people say it."""
    scaled, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if scaled < 1000 or unit == "GB":
            break
        scaled /= 1000
    return f"{format_decimal(round(scaled, 1 if scaled < 10 and unit != 'B' else 0), locale=_locale())} {unit}"


def initials(name: str) -> str:
    """Return what stands for a person in a small circle: `AL` for Ada Lovelace, `明` for 王小明."""
    words = name.split()
    if not words:
        return "?"
    if not words[0].isascii() and len(words) == 1:
        return words[0][-1]
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


def render_error(error: HTTPException) -> tuple[str, int]:
    """Return the page for an error: what happened and the next step, in the one shape that all errors have."""
    status = error.code or 500
    # Our own code says what is the matter in the reader's language; the framework's descriptions are in English.
    plain = type(error) is default_exceptions.get(status) and error.description != type(error).description
    is_old = isinstance(error, OldPage)
    sentence = error.description if plain or is_old else None
    failed_to_save = is_old or (status == 503 and request.method != "GET")
    before = page_before() if failed_to_save else None
    return render_template("errors/error.html", status=status, sentence=sentence, is_old=is_old, before=before), status


def _context() -> dict[str, Any]:
    someone = current_viewer()
    return {
        "viewer": someone,
        "locale": _locale(),
        "theme": choose_theme(),
        "rooms": [
            (room.path, room.label, any(_is_within(place) for place in (room.path, *room.also)))
            for room in ROOMS
            if someone.can(room.needs) and not (room.is_for_customers and someone.is_staff) and opens(room.path)
        ],
    }


def _is_within(place: str) -> bool:
    return request.path == place or request.path.startswith(place + "/")


def _keep_choice() -> ResponseReturnValue | None:
    """Move `?lang=` and `?theme=` from the address into cookies, so that addresses stay the same for everybody."""
    if request.method != "GET" or not ({"lang", "theme"} & set(request.args)) or request.path.startswith("/api/"):
        return None
    response = redirect(here(lang=None, theme=None, page=request.args.getlist("page")), 303)
    language = language_of(request.args.get("lang", ""))
    if language:
        _keep(response, LANGUAGE_COOKIE, language)
    theme = request.args.get("theme")
    if theme in THEMES:
        _keep(response, THEME_COOKIE, theme)
    return response


def _keep(response: BaseResponse, cookie: str, value: str) -> None:
    response.set_cookie(cookie, value, max_age=YEAR_S, samesite="Lax", secure=request.is_secure)


def _locale() -> str:
    """Return the page's language, chosen once a request: a page of hits asks a few hundred times."""
    if not has_request_context():
        return "en"
    chosen: str | None = g.get("language")
    if chosen is None:
        chosen = g.language = choose_language()
    return chosen


def _say(text: str) -> str:
    return _said_in(_locale(), text)


@lru_cache(maxsize=8192)
def _said_in(_language: str, text: str) -> str:
    """Return a template's text in the page's language; looked up in the catalogue once a language."""
    said: str = get_translations().ugettext(text)
    return said


def _say_in_context(context: str, text: str) -> str:
    said: str = get_translations().upgettext(context, text)
    return said


def _say_number(one: str, many: str, number: int) -> str:
    said: str = get_translations().ungettext(one, many, number)
    return said


def _account_language() -> str | None:
    """Return the language that the signed-in account prefers; signing in puts it into `g.account`."""
    language: str | None = getattr(g.get("account"), "locale", None)
    return language
