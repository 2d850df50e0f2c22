"""`casebook index status | verify | rebuild`: what the index knows, and making it equal to the database."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import Any

import click
from flask import current_app

from indexer import claims, sync, verify
from indexer.rebuild import Rebuild
from indexer.sync import Ended
from portal import outbox
from portal.commands.options import AS_JSON
from portal.commands.watch import Stopped, Watch
from portal.extensions import db
from portal.search import indices
from portal.search.current import make_engine
from portal.search.engine import EngineBusy, EngineError, EngineLocked, SearchEngine
from portal.search.indices import BuildUnderWay
from portal.search.models import IndexBuild
from portal.settings import Settings

LOOK_EVERY_S = 0.2
BUSY_PAUSE_S = 0.5
DRAIN_S = 2.0
PATIENCE_S = 60.0


@click.group()
def index() -> None:
    """The search index: status, verify, rebuild."""


@index.command()
@AS_JSON
def status(*, as_json: bool) -> None:
    """Show the engine, what it holds and how far it is behind."""
    with _engine() as engine:
        health = engine.health()
        counts = outbox.statistics()
        build = indices.build_under_way()
        report = {
            "engine": health.engine,
            "is_up": health.is_up,
            "detail": health.detail,
            "live_index": health.live_index,
            "documents": health.documents,
            "pending": counts.pending,
            "set_aside": counts.set_aside,
            "oldest_pending_s": round(counts.oldest_pending_s, 1),
            "objects": counts.objects,
            "workers": [beat.worker for beat in indices.workers()],
            "build": {"name": build.name, "state": build.state, "done": build.done, "total": build.total}
            if build
            else None,
            "set_aside_documents": [
                {
                    "id": f"{row.kind}:{row.object_id}",
                    "reason": row.last_error,
                    "attempts": row.attempts,
                    "again_at": row.not_before.isoformat() if row.not_before else None,
                }
                for row in outbox.set_aside_rows()
            ],
        }
    if as_json:
        click.echo(json.dumps(report))
        return
    state = "answers" if health.is_up else f"does not answer: {health.detail}"
    click.echo(f"The {health.engine} engine {state}")
    click.echo(f"Index      {health.live_index or 'none'} with {health.documents} documents")
    click.echo(
        f"Pending    {counts.pending}"
        + (f", the oldest for {counts.oldest_pending_s:.0f} s" if counts.pending > counts.set_aside else "")
    )
    click.echo(f"Set aside  {counts.set_aside}")
    for row in outbox.set_aside_rows():
        click.echo(f"  {row.kind}:{row.object_id}  {row.last_error} (tried {row.attempts} times)")
    click.echo(f"Workers    {', '.join(beat.worker for beat in indices.workers()) or 'none is running'}")
    if build:
        click.echo(f"Building   {build.name}: {build.state}, {build.done} of {build.total}")


@index.command("verify")
@click.option("--repair", "is_repair", is_flag=True, help="Mend what differs, then compare once more.")
@AS_JSON
def verify_(*, is_repair: bool, as_json: bool) -> int:
    """Compare the index with the database, exactly; 1 when they differ.

    Documents that are still on their way are counted apart: they are not differences.
    """
    with _engine() as engine:
        live = engine.live_index()
        if live is None:
            raise click.ClickException("There is no search index yet. `casebook index rebuild` makes one.")
        found = _compare(engine, live, is_repair=is_repair, quiet=as_json)
        left = found
        if is_repair and found.differs:
            _drain_until_empty(engine)
            left = _compare(engine, live, is_repair=False, quiet=True)
    if as_json:
        report = asdict(found)
        if is_repair:
            report["left"] = {name: getattr(left, name) for name in ("missing", "stale", "orphaned")}
        click.echo(json.dumps(report))
    else:
        click.echo(
            f"{found.checked} compared: {found.missing} missing, {found.stale} stale, {found.orphaned} orphaned; "
            f"{found.pending} on their way, {found.set_aside} set aside."
        )
        if is_repair and found.differs:
            click.echo(f"{found.repaired} were written again; {_differences(left)} differ now.")
        elif found.differs:
            click.echo("`casebook index verify --repair` mends this.", err=True)
    return 1 if left.differs else 0


@index.command("rebuild")
@AS_JSON
def rebuild_(*, as_json: bool) -> int:
    """Build a new index beside the live one and let searches read it; a build that was stopped is taken up again.

    A running worker does the work and this shows how far it is; without one it is done here.
    """
    report = build_index(quiet=as_json)
    if as_json:
        click.echo(json.dumps(report))
    elif report["state"] == "live":
        click.echo(
            f"Searches read {report['index']}: {report['documents']} documents in {report['seconds']:.1f} s "
            f"({report['objects'] / max(report['seconds'], 0.01):.0f}/s). The index before it is kept until the next "
            "rebuild or until it is dropped on the index page."
        )
    if report["state"] != "live":
        raise click.ClickException(
            f"The rebuild failed: {report['error'] or report['state']}. Searches read the old index."
        )
    return 0


def build_index(*, quiet: bool) -> dict[str, Any]:
    """Build a new index and let searches read it, or look on while a worker does; return what came of it.

    Raises:
        click.ClickException: the engine does not answer.
        Stopped: Ctrl-C; the build can be taken up again.
    """
    settings: Settings = current_app.extensions["casebook.settings"]
    began = time.monotonic()
    with _engine() as engine:
        try:
            build = indices.request_build(engine=engine.name, prefix=settings.search_prefix)
        except BuildUnderWay:
            under_way = indices.build_under_way()
            if under_way is None:
                raise click.ClickException(
                    "Another rebuild has just ended. Start again if you want one more."
                ) from None
            build = under_way
            click.echo(f"A rebuild is under way already ({build.name}); it goes on.", err=True)
        build_id = build.id
        work = Rebuild(engine, _holder(), settings.search_prefix, breathe=lambda: _drain(engine))
        try:
            with Watch("Building", quiet=quiet) as watch:
                _carry_on(engine, work, build_id, watch)
        except KeyboardInterrupt:
            raise Stopped("The same command, or a worker, goes on from here.") from None
        finally:
            db.session.rollback()
            work.let_go()
            claims.release_all(_holder())
        build = db.session.get_one(IndexBuild, build_id, populate_existing=True)
        return {
            "index": build.name,
            "state": build.state,
            "documents": engine.count(build.name) if build.state == "live" else 0,
            "objects": build.total,
            "seconds": round(time.monotonic() - began, 2),
            "error": build.error,
        }


@cache
def _holder() -> str:
    return claims.make_holder("command")


@contextmanager
def _engine() -> Iterator[SearchEngine]:
    engine = make_engine(current_app.extensions["casebook.settings"], for_writing=True)
    try:
        yield engine
    except EngineError as error:
        raise click.ClickException(str(error)) from None
    finally:
        engine.close()


def _carry_on(engine: SearchEngine, work: Rebuild, build_id: int, watch: Watch) -> None:
    """Work on the build, or look on while a worker does, until it is over."""
    while True:
        build = db.session.get_one(IndexBuild, build_id, populate_existing=True)
        watch.show(build.state.capitalize(), build.done, build.total or None)
        if not build.is_under_way:
            return
        try:
            _drain(engine)
            if work.step():
                continue
        except EngineLocked:
            # The worker of this machine writes the index; what was taken here must not keep it waiting.
            work.let_go()
        except EngineBusy:
            time.sleep(BUSY_PAUSE_S)
            continue
        if work.take() is None:
            time.sleep(LOOK_EVERY_S)


def _drain(engine: SearchEngine) -> None:
    report = sync.drain(engine, _holder(), for_s=DRAIN_S)
    if report.ended in (Ended.DOWN, Ended.NO_INDEX):
        return
    if report.ended is Ended.BUSY:
        time.sleep(BUSY_PAUSE_S)


def _drain_until_empty(engine: SearchEngine) -> None:
    """Wait until nothing that is due is left: a worker does it, or it is done here."""
    deadline = time.monotonic() + PATIENCE_S
    outbox.nudge()
    while claims.due_count() and time.monotonic() < deadline:
        try:
            _drain(engine)
        except EngineLocked:
            time.sleep(LOOK_EVERY_S)


def _compare(engine: SearchEngine, live: str, *, is_repair: bool, quiet: bool) -> verify.Comparison:
    def tell(difference: verify.Difference) -> None:
        if not quiet:
            click.echo(f"{difference.problem.value:9} {difference.id}")

    return verify.compare(engine, live, is_repair=is_repair, on_difference=tell)


def _differences(found: verify.Comparison) -> int:
    return found.missing + found.stale + found.orphaned


commands = [index]
