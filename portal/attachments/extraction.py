"""Reading the text out of stored files, a duty of the worker: each file in a process of its own with tight limits."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from portal import outbox
from portal.attachments.attachments import path_of, record_owner
from portal.attachments.models import Attachment
from portal.attachments.reader import READERS
from portal.attachments.reasons import Reason
from portal.extensions import db

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 40.0
"""By the clock; the reader's own limit of processor time is shorter."""
BATCH = 5


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of a file: `done` with its text, `none` where there is nothing to read, `failed` with the reason."""

    state: str
    text: str = ""
    reason: Reason | None = None
    detail: str | None = None


def extract_pending() -> int:
    """Read the next files that wait, commit each outcome, and return how many there were.

    A file's owner is indexed again when its text has arrived.  Two workers on the same file come to the same outcome.
    """
    waiting = list(
        db.session.scalars(
            select(Attachment).where(Attachment.text_state == "pending").order_by(Attachment.id).limit(BATCH)
        )
    )
    for attachment in waiting:
        path, name = path_of(attachment), attachment.file_name
        db.session.commit()  # No transaction stays open while a file is read.
        outcome = extract(path, name)
        db.session.refresh(attachment)
        attachment.text_state, attachment.text = outcome.state, outcome.text
        attachment.text_reason, attachment.text_error = outcome.reason, outcome.detail
        if outcome.text:
            record_owner(attachment)
        db.session.commit()
        if outcome.text:
            outbox.nudge()
    return len(waiting)


def extract(path: Path, file_name: str) -> Extracted:
    """Read one file.  Never raises for what it holds."""
    extension = Path(file_name).suffix.lower()
    if extension not in READERS:
        return Extracted("none")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "portal.attachments.reader", str(path), extension],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Extracted("failed", reason=Reason.TOO_MUCH)
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Extracted("failed", reason=Reason.TOO_MUCH)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return Extracted("failed", reason=Reason.CRASHED)
    if "reason" in answer:
        return Extracted("failed", reason=Reason(answer["reason"]), detail=answer.get("detail") or None)
    return Extracted("done" if answer["text"] else "none", text=answer["text"])
