"""The JSON interface under `/api/v1`, described by `/api/v1/openapi.json`."""

from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from portal.access import Permission
from portal.accounts.guard import needs
from portal.api import errors
from portal.api.articles import blueprint as articles
from portal.api.customers import blueprint as customers
from portal.api.records import blueprint as records
from portal.extensions import csrf
from portal.search.api import blueprint as search


class PortalApi(Api):
    """flask-smorest with the portal's own answer for errors, which serves pages and JSON alike."""

    def handle_http_exception(self, error: HTTPException) -> ResponseReturnValue:
        """Answer in the one shape."""
        return errors.answer_http_error(error)


def init_app(app: Flask) -> None:
    """Register the interface, its description and the answers to errors."""
    app.config.update(
        API_TITLE="Casebook",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/api/v1",
        OPENAPI_JSON_PATH="openapi.json",
    )
    errors.init_app(app)
    api = PortalApi(
        app,
        spec_kwargs={
            "info": {"description": "Search, articles, service records and customers of a Casebook portal."},
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
            "security": [{"token": []}, {}],
        },
    )
    # Its one write notes a click, which a browser sends as a beacon without headers of ours.
    csrf.exempt(search)
    for blueprint in (search, articles, records, customers):
        api.register_blueprint(blueprint)
    describe: Any = app.view_functions["api-docs.openapi_json"]

    # A bound method takes no attribute, so the declaration stands on a function around it.
    @needs(Permission.READ)
    def description() -> Any:
        return describe()

    app.view_functions["api-docs.openapi_json"] = description
