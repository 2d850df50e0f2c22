"""`/me/searches`: the searches somebody keeps, their latest ones, and whether they are kept at all."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.access import Permission
from portal.accounts.guard import current_account, current_viewer, needs
from portal.errors import Invalid
from portal.extensions import db
from portal.search import log as search_log
from portal.search import saved
from portal.search.models import SavedSearch
from portal.search.request import RequestError, SearchRequest

RECENT = 20

blueprint = Blueprint("saved", __name__)


@blueprint.get("/me/searches")
@needs(Permission.KEEP_ACCOUNT)
def show() -> str:
    """Show them."""
    return _page()


@blueprint.post("/me/searches")
@needs(Permission.KEEP_ACCOUNT)
def save() -> ResponseReturnValue:
    """Keep the search that a results page shows."""
    try:
        asked = SearchRequest.from_args(request.form, current_viewer())
        kept = saved.save(
            asked,
            by=current_viewer(),
            name=request.form.get("name", ""),
            every=request.form.get("every", "day"),
        )
    except (RequestError, Invalid) as error:
        return _page(_sentence(error)), 422
    flash(gettext("“%(name)s” is saved. You get a mail when something new matches.", name=kept.name), "success")
    return redirect(url_for("saved.show"), 303)


@blueprint.post("/me/searches/<int:saved_id>")
@needs(Permission.KEEP_ACCOUNT)
def change(saved_id: int) -> ResponseReturnValue:
    """Rename one, or look at it more or less often."""
    try:
        saved.change(_own(saved_id), name=request.form.get("name", ""), every=request.form.get("every", ""))
    except Invalid as error:
        return _page(_sentence(error)), 422
    flash(gettext("Saved."), "success")
    return redirect(url_for("saved.show"), 303)


@blueprint.post("/me/searches/<int:saved_id>/pause")
@needs(Permission.KEEP_ACCOUNT)
def pause(saved_id: int) -> ResponseReturnValue:
    """Write no more mails about one."""
    saved.pause(_own(saved_id))
    flash(gettext("You get no more mails about this search."), "success")
    return redirect(url_for("saved.show"), 303)


@blueprint.post("/me/searches/<int:saved_id>/resumption")
@needs(Permission.KEEP_ACCOUNT)
def resume(saved_id: int) -> ResponseReturnValue:
    """Write mails about one again."""
    saved.resume(_own(saved_id))
    flash(gettext("You get mails about this search again."), "success")
    return redirect(url_for("saved.show"), 303)


@blueprint.post("/me/searches/<int:saved_id>/deletion")
@needs(Permission.KEEP_ACCOUNT)
def delete(saved_id: int) -> ResponseReturnValue:
    """Forget one."""
    saved.delete(_own(saved_id))
    flash(gettext("The saved search is deleted."), "success")
    return redirect(url_for("saved.show"), 303)


@blueprint.post("/me/searches/keeping")
@needs(Permission.KEEP_ACCOUNT)
def keep() -> ResponseReturnValue:
    """Choose whether one's searches are noted."""
    account = current_account()
    account.keeps_searches = request.form.get("keep") == "yes"
    db.session.commit()
    flash(
        gettext("Your searches are noted.") if account.keeps_searches else gettext("Your searches are not noted."),
        "success",
    )
    return redirect(url_for("saved.show", _anchor="recent"), 303)


@blueprint.post("/me/searches/forgetting")
@needs(Permission.KEEP_ACCOUNT)
def forget() -> ResponseReturnValue:
    """Take one's name off everything one searched."""
    search_log.forget(current_account().id)
    flash(gettext("Your recent searches are forgotten."), "success")
    return redirect(url_for("saved.show", _anchor="recent"), 303)


@blueprint.get("/saved-searches/<token>/pause")
@needs(Permission.READ)
def ask_to_pause(token: str) -> str:
    """Ask whoever came by a mail's link: looking at an address changes nothing."""
    if saved.read_token(token) is None:
        abort(404)
    return render_template("search/unsubscribe.html", token=token, is_done=False)


@blueprint.post("/saved-searches/<token>/pause")
@needs(Permission.READ)
def pause_all(token: str) -> str:
    """Write no more mails about any search of the link's owner."""
    user_id = saved.read_token(token)
    if user_id is None:
        abort(404)
    saved.pause_all(user_id)
    return render_template("search/unsubscribe.html", token=token, is_done=True)


def _own(saved_id: int) -> SavedSearch:
    found = saved.find(current_account().id, saved_id)
    if found is None:
        abort(404)
    return found


def _sentence(error: RequestError | Invalid) -> str:
    return error.sentence if isinstance(error, RequestError) else str(error)


def _page(refused: str = "") -> str:
    account = current_account()
    rows = saved.load_all(account.id)
    return render_template(
        "search/saved.html",
        account=account,
        rows=[(row, saved.path_of(row)) for row in rows],
        recent=search_log.recent(account.id, RECENT),
        refused=refused,
    )
