"""SQLite under eight writers: none of them ever meets "database is locked".

A few seconds in the suite; `make drill` lets them write for sixty (`DRILL_S`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.app import ROOT

SECONDS = float(os.environ.get("DRILL_S", "4"))
WRITERS = 8
# Eight processes, forked when everything is loaded: each makes and changes articles as the portal's operations do, and
# begins with a read, as every request does.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
from portal.accounts import users
from portal.app import create_app
from portal.extensions import db
from portal.knowledge import articles
from portal.settings import Settings

seconds, folder = float(sys.argv[1]), Path(sys.argv[2])
app = create_app(Settings.from_environ(os.environ))
with app.app_context():
    email = "dora@example.com"
    users.create(name="Dora", email=email, role="editor", password="correct horse battery", by=None)
    db.session.remove()
    db.engine.dispose()
for writer in range(8):
    if os.fork() == 0:
        done, slowest_s, failures = 0, 0.0, []
        with app.app_context():
            dora = users.load_named(email).viewer
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.monotonic()
                try:
                    title = f"Writer {writer}, article {done}"
                    made = articles.create(by=dora, kind="faq", changes={"title": title, "tags": ["shared"]})
                    articles.save(made, by=dora, changes={"summary": "Changed."})
                    done += 2
                except Exception as error:
                    db.session.rollback()
                    failures.append(f"{type(error).__name__}: {error}"[:300])
                db.session.remove()
                slowest_s = max(slowest_s, time.monotonic() - began)
        (folder / f"{writer}.json").write_text(json.dumps([done, slowest_s, failures]))
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


@pytest.mark.drill
def test_eight_writers_never_find_the_database_locked(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CASEBOOK_")}
    environ |= {"CASEBOOK_DATA_DIR": str(tmp_path / "data"), "CASEBOOK_SECRET_KEY": "x" * 40}
    casebook = [sys.executable, "-c", "import sys; from portal.cli import main; sys.exit(main())"]
    subprocess.run([*casebook, "init"], env=environ, cwd=ROOT, check=True, capture_output=True)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SECONDS), str(tmp_path)],
        env=environ,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    reports = [json.loads((tmp_path / f"{writer}.json").read_text()) for writer in range(WRITERS)]
    failures = [failure for _, _, failures in reports for failure in failures]
    assert failures == []
    done = [report[0] for report in reports]
    print(
        f"\n{WRITERS} writers for {SECONDS:g} s: {sum(done)} commits, "
        f"{min(done)} to {max(done)} each; the slowest pair took {max(report[1] for report in reports):.1f} s"
    )
    assert all(done), "each of them comes to write"
