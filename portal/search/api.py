"""`GET /api/v1/search` and `GET /api/v1/suggest`: what the page shows, as JSON."""

from typing import Any

from flask import Response, abort, jsonify, request
from flask_babel import get_locale, gettext
from flask_smorest import Blueprint

from portal.access import Permission, Role
from portal.accounts.guard import current_viewer, needs
from portal.search import visit
from portal.search.current import engine
from portal.search.offers import offer
from portal.search.request import SearchRequest
from portal.search.schemas import (
    SearchResultSchema,
    SuggestionsSchema,
    WhySchema,
    offers_to_json,
    result_to_json,
)
from portal.search.sources import registry
from portal.search.why import why_to_json
from portal.search.why_views import answer_why

blueprint = Blueprint("search_api", __name__, url_prefix="/api/v1", description="Search")
LONGEST_PREFIX = 200

FACET_PARAMETERS = [
    {
        "in": "query",
        "name": name,
        "schema": {"type": "array", "items": {"type": "string"}},
        "description": "Repeat it to choose several values: they widen; different facets narrow.",
    }
    for name in ("kind", "category", "product", "tag", "language", "status", "updated")
]


@blueprint.route("/search")
@blueprint.doc(
    parameters=[
        {
            "in": "query",
            "name": "q",
            "schema": {"type": "string", "maxLength": 1000},
            "description": "Words; empty browses.",
        },
        *FACET_PARAMETERS,
        {"in": "query", "name": "sort", "schema": {"type": "string", "enum": ["relevance", "newest", "popular"]}},
        {"in": "query", "name": "page", "schema": {"type": "integer", "minimum": 1}},
        {"in": "query", "name": "size", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
        {
            "in": "query",
            "name": "explain",
            "schema": {"type": "boolean"},
            "description": "Staff: why each hit is here.",
        },
    ]
)
@blueprint.response(200, SearchResultSchema)
@needs(Permission.READ)
def search() -> Response:
    """Search what the caller may read."""
    # It has the schema's shape already: dumped once more, hundreds of facet values would cost a fifth of the answer.
    return jsonify(result_to_json(visit.ask().result))


@blueprint.route("/search/why")
@blueprint.doc(
    parameters=[
        {"in": "query", "name": "q", "schema": {"type": "string", "maxLength": 1000}},
        {
            "in": "query",
            "name": "id",
            "required": True,
            "schema": {"type": "string"},
            "description": "The document that is looked for: its id, number, slug or address.",
        },
        {
            "in": "query",
            "name": "as",
            "schema": {"type": "string", "enum": [role.value for role in Role]},
            "description": "Through whose eyes; default: the caller's.",
        },
        *FACET_PARAMETERS,
    ]
)
@blueprint.response(200, WhySchema)
@needs(Permission.READ_STAFF)
def why() -> dict[str, Any]:
    """Say why a document is not where somebody looks for it."""
    _, found = answer_why()
    if found is None:
        abort(400, gettext("Give the parameter id: the document's id, number, slug or address."))
    return why_to_json(found)


@blueprint.route("/suggest")
@blueprint.doc(parameters=[{"in": "query", "name": "q", "schema": {"type": "string", "maxLength": 200}}])
@blueprint.response(200, SuggestionsSchema)
@needs(Permission.READ)
def suggest() -> dict[str, Any]:
    """Offer titles, earlier searches and topics for what is being typed; for nothing typed, what to begin with."""
    viewer = current_viewer()
    text = SearchRequest(viewer=viewer, text=request.args.get("q", "")).text[:LONGEST_PREFIX]
    offers = offer(viewer, text, locale=str(get_locale()), engine=engine(), registry=registry())
    return offers_to_json(text, offers)


@blueprint.route("/searches/<string:search_id>/click", methods=["POST"])
@blueprint.response(204)
@needs(Permission.READ)
def click(search_id: str) -> None:
    """Note which hit of a search was opened, and at which rank."""
    document_id = request.args.get("hit", "")
    rank = request.args.get("rank", "")
    if not rank.isascii() or not rank.isdigit() or not 1 <= int(rank[:6]) <= 10_000 or not document_id:
        abort(400, gettext("Give the parameters hit and rank (1 to 10,000)."))
    visit.note_click(search_id[:16], document_id, int(rank))
