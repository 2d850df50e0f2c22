"""The JSON interface under `/api/v1`, described by `/api/v1/openapi.json`."""

import functools
from typing import Any

import flask
from flask import Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from flask_smorest import Api

from portal.access import Permission
from portal.accounts.guard import needs
from portal.api import errors
from portal.api.articles import blueprint as articles
from portal.api.customers import blueprint as customers
from portal.api.records import blueprint as records
from portal.extensions import csrf
from portal.search.api import blueprint as search

RESOURCES = (search, articles, records, customers)
blueprint = flask.Blueprint("api", __name__)


@blueprint.get("/api/v1/openapi.json")
@needs(Permission.READ)
def openapi() -> ResponseReturnValue:
    """Describe the interface to programs."""
    return jsonify(description())


@functools.cache
def description() -> dict[str, Any]:
    """Return the OpenAPI document, which is made when it is first asked for, by an application that serves nothing."""
    described = Flask("description", static_folder=None)
    described.url_map.converters.update(current_app.url_map.converters)
    described.config.update(API_TITLE="Casebook", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
    api = Api(
        described,
        spec_kwargs={
            "info": {"description": "Search, articles, service records and customers of a Casebook portal."},
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
            "security": [{"token": []}, {}],
        },
    )
    for resource in RESOURCES:
        api.register_blueprint(resource)
    document: dict[str, Any] = api.spec.to_dict()
    return document


def init_app(app: Flask) -> None:
    """Register the interface, its description and the answers to errors."""
    errors.init_app(app)
    # Its one write notes a click, which a browser sends as a beacon without headers of ours.
    csrf.exempt(search)
    for resource in RESOURCES:
        app.register_blueprint(resource)
    app.register_blueprint(blueprint)
