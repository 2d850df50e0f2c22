"""The worker: one process that keeps the index equal to SQL and does what else is due.

Its threads: one writes the index, and alone speaks to the engine; one takes jobs off the queue and wakes the first;
one gives a sign of life; one does the further duties, so that a slow mail server delays no document.  None of them ever
ends on a failure: it says what is wrong once, waits a little longer each time, and says when it is over.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType

from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from indexer import claims, listener, rebuild, sync, verify
from indexer.rebuild import Rebuild
from indexer.sync import Ended
from portal.extensions import db, now
from portal.search.engine import EngineDown, EngineError, EngineLocked, IndexCorrupt, IndexMissing, SearchEngine
from portal.search.indices import SIGN_OF_LIFE
from portal.search.models import Heartbeat, IndexCheck
from portal.settings import Settings

log = logging.getLogger("casebook.worker")

SWEEP_S = 1.0
DRAIN_S = 2.0
"""So long one round writes documents before it looks for what else is to be done, a rebuild above all."""
LOCKED_PAUSE_S = 2.0
LONGEST_PAUSE_S = 5.0
HEARTBEAT_S = 5.0
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Duty:
    """Something the worker does again and again beside the index.  `run` commits what it does."""

    name: str
    every_s: float
    run: Callable[[], object]


class Trouble:
    """Says what is wrong once, waits longer each time, and says when it is over."""

    def __init__(self) -> None:
        self._said = ""
        self._pause_s = 0.25

    def met(self, sentence: str) -> float:
        """Note trouble and return how many seconds to wait."""
        if sentence != self._said:
            log.warning("%s", sentence)
            self._said = sentence
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        return self._pause_s

    def over(self) -> None:
        """Note that all is well."""
        if self._said:
            log.info("All is well again.")
        self._said, self._pause_s = "", 0.25


class Worker:
    """The process's threads and what they share."""

    def __init__(
        self,
        settings: Settings,
        engine: SearchEngine,
        *,
        application: Callable[[], AbstractContextManager[object]],
        duties: Sequence[Duty] = (),
    ) -> None:
        """`application` opens an application context; each round of each thread runs in one of its own."""
        self._settings = settings
        self._engine = engine
        self._application = application
        self.name = claims.make_holder("worker")
        self._is_stopped = threading.Event()
        self._wake = threading.Event()
        self._was_signalled = False
        self._doing = "starting"
        self._has_leases = True
        self._trouble = Trouble()
        self._rebuild = Rebuild(engine, self.name, self._settings.search_prefix, breathe=self._breathe)
        self._duties = tuple(duties)

    def run(self) -> None:
        """Work until SIGTERM or Ctrl-C; then finish the batch in hand, give back what is leased, and return."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        threads = [
            threading.Thread(target=self._keep_index, name="index"),
            threading.Thread(
                target=self._do_duties,
                args=((Duty("sign of life", HEARTBEAT_S, self._beat),),),
                name="heart",
                daemon=True,
            ),
            threading.Thread(target=self._do_duties, args=(self._duties,), name="duties", daemon=True),
            threading.Thread(
                target=listener.listen,
                args=(self._settings, self._is_stopped, self._wake.set),
                name="queue",
                daemon=True,
            ),
        ]
        for thread in threads:
            thread.start()
        log.info("The worker %s is at work.", self.name)
        # The handler only sets a flag: an Event's own lock may be held by the very thread that the signal interrupts.
        while not self._was_signalled and threads[0].is_alive():
            time.sleep(0.1)
        self.stop()
        for thread in threads:
            thread.join(timeout=None if thread is threads[0] else 3)
        self._leave()

    def stop(self) -> None:
        """Ask the threads to finish."""
        self._is_stopped.set()
        self._wake.set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._was_signalled = True

    # The index

    def _keep_index(self) -> None:
        self._check_at_start()
        while not self._is_stopped.is_set():
            self._wake.clear()
            pause_s = SWEEP_S
            try:
                with self._application():
                    if self._has_leases:
                        claims.release_all(self.name)
                        claims.release_of_the_gone()
                        self._has_leases = False
                    if self._go_once():
                        pause_s = 0.0
                self._trouble.over()
            except EngineLocked as error:
                self._trouble.met(str(error))
                pause_s = LOCKED_PAUSE_S
            except EngineError as error:
                pause_s = self._trouble.met(str(error))
            except SQLAlchemyError as error:
                self._has_leases = True
                pause_s = self._trouble.met(f"The database cannot be used ({_first_line(error)}).")
            except Exception:
                self._has_leases = True
                log.exception("The index thread met something unforeseen; it goes on.")
                pause_s = self._trouble.met("The index thread met something unforeseen.")
            if pause_s:
                self._wake.wait(pause_s)
        with self._application():
            self._give_back()

    def _go_once(self) -> bool:
        """Do one round; return whether another should follow at once."""
        self._doing = "writing documents"
        is_behind = self._drain()
        if self._is_stopped.is_set():
            return False
        rebuild.drop_requested(self._engine)
        self._answer_check()
        self._doing = "building an index"
        more = self._rebuild.step()
        self._doing = "waiting"
        if not (more or is_behind):
            self._engine.rest()
        return more or is_behind

    def _drain(self) -> bool:
        """Write what is due for a while; return whether more waits."""
        report = sync.drain(self._engine, self.name, is_stopped=self._is_stopped.is_set, for_s=DRAIN_S)
        if report.ended is Ended.NO_INDEX:
            self._replace_index()
        elif report.ended is Ended.BUSY:
            # The engine asked for air; a pause here holds back the next batch.
            self._is_stopped.wait(self._trouble.met(report.trouble))
        elif report.ended is Ended.DOWN:
            raise EngineDown(report.trouble)
        return report.ended is Ended.STOPPED

    def _breathe(self) -> None:
        self._drain()

    def _replace_index(self) -> None:
        live = self._engine.live_index()
        try:
            if live is not None:
                self._engine.count(live)
        except IndexCorrupt as error:
            rebuild.replace_unreadable(self._engine, self._settings.search_prefix, str(error))
        except IndexMissing:
            pass
        else:
            rebuild.ensure_index(self._engine, self._settings.search_prefix)

    def _check_at_start(self) -> None:
        """Read the whole live index once: damage is found now and not by a reader."""
        try:
            with self._application():
                prefix = self._settings.search_prefix
                live = self._engine.live_index()
                if live is not None:
                    try:
                        self._engine.check(live)
                    except IndexCorrupt as error:
                        rebuild.replace_unreadable(self._engine, prefix, str(error))
                        return
                if rebuild.ensure_index(self._engine, prefix):
                    log.info("There is no search index yet; it is being made.")
        except (EngineError, SQLAlchemyError) as error:
            self._trouble.met(_first_line(error))

    def _answer_check(self) -> None:
        """Do a comparison that somebody asked for."""
        check = db.session.scalars(
            select(IndexCheck).where(IndexCheck.state.in_(["requested", "running"])).order_by(IndexCheck.id).limit(1)
        ).first()
        live = self._engine.live_index() if check else None
        if check is None or live is None:
            db.session.rollback()
            return
        check_id, is_repair = check.id, check.is_repair
        check.state = "running"
        db.session.commit()
        self._doing = "comparing the index with SQL"
        found = verify.compare(self._engine, live, breathe=self._breathe, is_repair=is_repair)
        check = db.session.get_one(IndexCheck, check_id, populate_existing=True)
        check.checked, check.missing, check.stale = found.checked, found.missing, found.stale
        check.orphaned, check.repaired = found.orphaned, found.repaired
        check.state, check.finished_at = "done", now()
        db.session.commit()

    def _give_back(self) -> None:
        try:
            self._rebuild.let_go()
            claims.release_all(self.name)
        except SQLAlchemyError:
            log.warning("The database cannot be used; what this worker had leased is free again within a minute.")
        try:
            self._engine.close()
        except EngineError as error:
            log.warning("%s", error)

    # The duties

    def _do_duties(self, duties: Sequence[Duty]) -> None:
        due = dict.fromkeys((duty.name for duty in duties), 0.0)
        troubles = {duty.name: Trouble() for duty in duties}
        while due and not self._is_stopped.is_set():
            for duty in duties:
                if time.monotonic() < due[duty.name] or self._is_stopped.is_set():
                    continue
                pause_s = 0.0
                try:
                    with self._application():
                        duty.run()
                    troubles[duty.name].over()
                except SQLAlchemyError as error:
                    pause_s = troubles[duty.name].met(f"The database cannot be used ({_first_line(error)}).")
                except Exception:
                    log.exception("The duty %r failed; it is tried again.", duty.name)
                    pause_s = LONGEST_PAUSE_S
                due[duty.name] = time.monotonic() + duty.every_s + pause_s
            self._is_stopped.wait(max(0.1, min(due.values()) - time.monotonic()))

    def _beat(self) -> None:
        at = now()
        beat = db.session.get(Heartbeat, self.name)
        if beat is None:
            db.session.execute(delete(Heartbeat).where(Heartbeat.at < at - FORGOTTEN_AFTER))
            beat = Heartbeat(worker=self.name, started_at=at, at=at)
            db.session.add(beat)
        beat.at, beat.doing = at, self._doing
        db.session.commit()

    def _leave(self) -> None:
        try:
            with self._application():
                db.session.execute(delete(Heartbeat).where(Heartbeat.worker == self.name))
                db.session.commit()
        except SQLAlchemyError:
            log.warning("The database cannot be used; this worker's sign of life ends in %s.", SIGN_OF_LIFE)
        log.info("The worker %s has stopped.", self.name)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
