"""The page that says which backups were made."""

import os
import time

import pytest

from portal.backups import backups
from portal.health.state import LAST_BACKUP, OLDEST_BACKUP


@pytest.fixture
def made(casebook, people, tmp_path):
    """A backup that was made just now."""
    assert casebook("backup", str(tmp_path / "copy"))[0] == 0
    return tmp_path / "copy"


def test_a_manager_sees_what_was_made_and_where(made, people, client_for):
    page = client_for(people.erin).get("/admin/backups").text
    assert f"<code>{made}</code>" in page
    assert "Backed up" in page
    assert "The last backup is" in page
    assert "There is no backup of the last day" not in page


def test_a_late_or_missing_backup_is_said_with_the_command(casebook, people, client_for, settings, tmp_path):
    erin = client_for(people.erin)
    never = erin.get("/admin/backups").text
    assert "There is no backup of the last day" in never
    assert "casebook backup" in never
    assert "No backup was made yet" in never

    assert casebook("backup", str(tmp_path / "copy"))[0] == 0
    late = time.time() - OLDEST_BACKUP.total_seconds() - 60
    os.utime(settings.data_dir / LAST_BACKUP, (late, late))
    assert "There is no backup of the last day" in erin.get("/admin/backups").text


def test_what_was_restored_is_told(made, people, client_for):
    backups.settle_in(backups.check(made, lambda *_: None), sends_mails=False)
    page = client_for(people.erin).get("/admin/backups").text
    assert "Restored" in page
    assert "What stood here on" in page
