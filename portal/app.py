"""The one place where the parts meet: `create_app` makes a portal from its settings."""

from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map

import portal.accounts.models
import portal.accounts.views
import portal.admin.views
import portal.api.models
import portal.api.views
import portal.attachments.models
import portal.audit
import portal.backups.views
import portal.customers.findable
import portal.customers.views
import portal.health.views
import portal.home.views
import portal.knowledge.findable
import portal.knowledge.views
import portal.mail.models
import portal.outbox
import portal.queue
import portal.reports.views
import portal.search.models
import portal.search.views
import portal.service.findable
import portal.service.views
import portal.steering.models
import portal.steering.views
import portal.vocabulary.findable
import portal.vocabulary.models
import portal.vocabulary.views
from portal import extensions, logs, pages
from portal.accounts.guard import refuse_undeclared
from portal.safety import refuse_unsafe
from portal.search import sources
from portal.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


class WholeNumber(IntegerConverter):
    """A whole number in an address; what no database column can hold is no address at all."""

    def __init__(self, url_map: Map, max: int = 2**31 - 1) -> None:  # noqa: A002  werkzeug's name.
        super().__init__(url_map, max=max)


def create_app(settings: Settings | None = None) -> Flask:
    """Make the portal.  Nothing is read from the environment when settings are given.

    Raises:
        SettingsError: a setting cannot be used.
    """
    logs.set_up()
    settings = settings or Settings.from_environ()
    refuse_unsafe(settings)
    app = Flask("portal", root_path=str(ROOT / "portal"), template_folder="../templates", static_folder=None)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SECRET_KEY_FALLBACKS=list(settings.old_secret_keys),
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        # What a statement was given is customers' text, and an error would quote it wherever it is told.
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": not settings.is_sqlite, "hide_parameters": True},
        SESSION_COOKIE_NAME="casebook",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.base_url.startswith("https://"),
        TRUSTED_HOSTS=list(settings.trusted_hosts) or None,
        MAX_CONTENT_LENGTH=32 * 1024 * 1024,
        RATELIMIT_ENABLED=settings.limits,
        WTF_CSRF_TIME_LIMIT=None,
    )
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)  # type: ignore[method-assign]
    app.url_map.converters["int"] = WholeNumber
    app.extensions["casebook.settings"] = settings
    extensions.db.init_app(app)
    # Runs before the extension's own, which then finds nothing left to do.
    app.teardown_appcontext(extensions.let_go_of_session)
    extensions.csrf.init_app(app)
    extensions.limiter.init_app(app)
    portal.queue.init_app(app)
    pages.init_app(app, settings)
    portal.search.views.init_app(app)
    for feature in (portal.knowledge, portal.service, portal.customers):
        sources.register(app, feature.findable.SOURCE)
    for facet, labels in portal.vocabulary.findable.LABELS.items():
        sources.register_labels(app, facet, labels)
    sources.register_parents(app, "category", portal.vocabulary.findable.category_parents)
    sources.register_places(app, portal.vocabulary.findable.find_categories)
    for feature in (
        portal.accounts,
        portal.vocabulary,
        portal.customers,
        portal.knowledge,
        portal.service,
        portal.steering,
        portal.home,
        portal.health,
        portal.admin,
        portal.reports,
        portal.backups,
        portal.api,
    ):
        feature.views.init_app(app)
    refuse_undeclared(app)
    return app
