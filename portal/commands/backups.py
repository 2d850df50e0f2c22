"""`casebook backup` and `casebook restore`."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click
from flask import current_app

from portal.app import create_app
from portal.backups import backups
from portal.commands.index import build_index
from portal.commands.options import AS_JSON
from portal.commands.processes import NotStarted, hold_lock
from portal.commands.run import upgrade
from portal.commands.starting import check_data_folder
from portal.commands.watch import Stopped, Watch
from portal.health.state import LAST_BACKUP
from portal.settings import Settings


@click.command("backup")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@AS_JSON
def backup(*, folder: Path, as_json: bool) -> int:
    """Copy database and attachments, as of one moment, into a new folder while the portal works.

    1 when attachments were missing; the backup is whole otherwise.  One that was stopped is taken up again.
    """
    settings: Settings = current_app.extensions["casebook.settings"]
    try:
        with Watch("Copying", quiet=as_json) as watch:
            manifest = backups.make(folder.absolute(), watch.show)
    except KeyboardInterrupt:
        raise Stopped("The same command goes on from here.") from None
    (settings.data_dir / LAST_BACKUP).touch()
    if as_json:
        click.echo(json.dumps(asdict(manifest)))
    else:
        click.echo(
            f"{folder} holds {manifest.row_count} rows and {manifest.files} attachments "
            f"({manifest.files_bytes / 1e6:.1f} MB), with their digests."
        )
        if not manifest.holds_key:
            click.echo("It does not hold CASEBOOK_SECRET_KEY, without which addresses and numbers cannot be read.")
    for name in manifest.missing_files:
        click.echo(f"Missing or changed in the data folder: {name}", err=True)
    return 1 if manifest.missing_files else 0


@click.command("restore")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--send-mails", "sends_mails", is_flag=True, help="Send what waited when the backup was made.")
@AS_JSON
def restore(*, folder: Path, sends_mails: bool, as_json: bool) -> None:
    """Put a backup back into an empty place, bring its tables up to this version, and build the index.

    Nothing may run on that place.  Everybody signs in anew, with the passwords of the backup.
    """
    settings = Settings.from_environ()
    check_data_folder(settings.data_dir)
    try:
        lock = hold_lock(settings.data_dir / "up.lock")
    except NotStarted as error:
        raise click.ClickException(str(error)) from None
    try:
        report = _restore(settings, folder, sends_mails=sends_mails, quiet=as_json)
    finally:
        os.close(lock)
    if as_json:
        click.echo(json.dumps(report))
        return
    click.echo(
        f"Restored what was there on {report['made_at']}: {report['rows']} rows, {report['files']} attachments; "
        f"the index holds {report['documents']} documents."
    )
    click.echo(
        f"{report['sessions_ended']} sessions ended; {report['mails_dropped']} waiting mails were dropped. "
        "`casebook up` starts the portal."
    )


def _restore(settings: Settings, folder: Path, *, sends_mails: bool, quiet: bool) -> dict[str, object]:
    with Watch("Checking", quiet=quiet) as watch:
        manifest = backups.check(folder, watch.show)
        app = create_app(settings)
        with app.app_context():
            backups.refuse_unfit(manifest)
            if backups.take_key(folder, manifest):
                app = create_app(Settings.from_environ())
        with app.app_context():
            backups.restore_content(folder, manifest, watch.show)
            upgrade()
            ended, dropped = backups.settle_in(manifest, sends_mails=sends_mails)
    try:
        with app.app_context():
            built = build_index(quiet=quiet)
    except click.ClickException as error:
        raise click.ClickException(
            f"Database and attachments are back, the index is not: {error.message} "
            "A worker makes it as soon as it can, or `casebook index rebuild`."
        ) from None
    return {
        "made_at": manifest.made_at,
        "rows": manifest.row_count,
        "files": manifest.files,
        "sessions_ended": ended,
        "mails_dropped": dropped,
        "documents": built["documents"],
        "index": built["state"],
    }


commands = [backup]
bare_commands = [restore]
