"""`/search/why`, for staff: why a document is not where somebody looks for it, through anybody's eyes."""

from dataclasses import replace

from flask import Blueprint, render_template, request
from flask_babel import gettext

from portal.access import Permission, Role, Viewer, viewer_for
from portal.accounts.guard import current_viewer, needs
from portal.search.current import engine
from portal.search.page import Address
from portal.search.request import RequestError, SearchRequest
from portal.search.sources import registry
from portal.search.why import Why, explain_place

LONGEST_NAME = 300

blueprint = Blueprint("why", __name__)


@blueprint.get("/search/why")
@needs(Permission.READ_STAFF)
def show() -> str:
    """Ask, and answer."""
    asked, why = answer_why()
    return render_template(
        "search/why.html",
        asked=asked,
        address=Address(replace(asked, viewer=current_viewer())),
        why=why,
        id=request.args.get("id", "").strip()[:LONGEST_NAME],
        role=asked.viewer.role.value,
        roles=list(Role),
    )


def answer_why() -> tuple[SearchRequest, Why | None]:
    """Read the address and look; None where no document was named.

    Raises:
        RequestError: a parameter cannot be used.
    """
    asked = SearchRequest.from_args(request.args, _eyes())
    text = request.args.get("id", "").strip()[:LONGEST_NAME]
    if not text:
        return asked, None
    return asked, explain_place(asked, text, asker=current_viewer(), engine=engine(), registry=registry())


def _eyes() -> Viewer:
    """Return through whose eyes to look: one's own, or those of a role."""
    role = request.args.get("as", "")
    if not role or role == current_viewer().role:
        return current_viewer()
    if role not in set(Role):
        raise RequestError(
            "as", gettext("as: %(role)s is no role. Use one of %(roles)s.", role=repr(role[:40]), roles=", ".join(Role))
        )
    return viewer_for(Role(role))


@blueprint.errorhandler(RequestError)
def refuse(error: RequestError) -> tuple[str, int]:
    """Say which part of the address cannot be used."""
    return render_template("search/refused.html", error=error), 400
