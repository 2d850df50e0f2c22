"""Several people at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask

from portal.extensions import db


def together(app: Flask, *jobs: Callable[[], Any]) -> list[Exception]:
    """Run jobs at the same moment, each in a context of its own; return what they raised."""
    errors: list[Exception] = []
    ready = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> None:
        try:
            with app.app_context():
                ready.wait()
                job()
        except Exception as error:
            errors.append(error)

    db.session.remove()
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
