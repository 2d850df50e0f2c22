"""Storing files, and reading the text out of them."""

import ctypes
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from portal import outbox
from portal.attachments import attachments, extraction
from portal.attachments.models import Attachment
from portal.attachments.reasons import Reason
from portal.attachments.types import clean_name
from portal.errors import Invalid
from portal.extensions import db
from tests.attachments import samples
from tests.people import People
from tests.skips import NO_SERVER


def put(people: People, name: str, data: bytes, **more: object) -> Attachment:
    options = {"owner_kind": "article", "owner_id": 1} | more
    return attachments.store(io.BytesIO(data), file_name=name, by=people.carol.viewer, **options)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("torque.pdf", samples.pdf(), "Torque table"),
        ("letter.docx", samples.docx(), "The valve leaks."),
        ("parts.xlsx", samples.xlsx(), "Parts\nGasket\t12.0\t密封圈"),
        (
            "training.pptx",
            samples.pptx(
                "<a:p><a:r><a:t>Loosen the </a:t></a:r><a:r><a:t>valve</a:t></a:r><a:br/>"
                "<a:r><a:t>twice</a:t></a:r></a:p>"
                "<a:tbl><a:p><a:r><a:t>密封圈</a:t></a:r></a:p></a:tbl>",
                *(f"Step {n}" for n in range(2, 12)),
                notes="Mind the &lt;spring&gt;.",
            ),
            "\n".join(["Loosen the valve twice", "密封圈", "Mind the <spring>.", *(f"Step {n}" for n in range(2, 12))]),
        ),
        (
            "letter.odt",
            samples.open_document(
                "<text:tracked-changes><text:p>struck out</text:p></text:tracked-changes>"
                "<text:h>Torque</text:h><text:p>Turn<text:s/>it <text:span>by 5&#160;Nm</text:span><office:annotation>"
                "<text:p>a remark</text:p></office:annotation>.<text:line-break/>Then stop.</text:p>"
            ),
            "Torque\nTurn it by 5 Nm. Then stop.",
        ),
        ("talk.odp", samples.open_document("<text:p>水泵</text:p>", kind="presentation"), "水泵"),
        ("notes.txt", "Gasket für Pumpe".encode(), "Gasket für Pumpe"),
        ("bom.csv", "\ufeffa,b\n1,2\n".encode(), "a,b\n1,2"),
        ("wide.txt", "密封圈".encode("utf-16"), "密封圈"),
        (
            "old.txt",
            "水泵的密封圈漏水，需要更换新的密封圈并重新拧紧螺栓".encode("gb18030"),
            "水泵的密封圈漏水，需要更换新的密封圈并重新拧紧螺栓",
        ),
        ("log.md", b"# Title\n\ntext", "# Title\n\ntext"),
    ],
)
def test_the_text_of_a_file_arrives_and_its_owner_is_indexed_again(
    people: People, name: str, data: bytes, text: str
) -> None:
    kept = put(people, name, data)
    db.session.commit()
    assert outbox.version_of("article", 1) == (1, 0)
    assert attachments.path_of(kept).read_bytes() == data
    assert extraction.extract_pending() == 1
    assert (kept.text_state, kept.text, kept.text_reason, kept.text_error) == ("done", text, None, None)
    assert outbox.version_of("article", 1) == (2, 0)
    assert extraction.extract_pending() == 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bomb.docx", samples.bomb(), Reason.DAMAGED),
        ("bomb.pptx", samples.pptx("<a:p><a:r><a:t>&e9;</a:t></a:r></a:p>", before=samples.GROWING), Reason.FORBIDDEN),
        ("bomb.odt", samples.open_document("<text:p>&e9;</text:p>", before=samples.GROWING), Reason.FORBIDDEN),
        (
            "outside.odt",
            samples.open_document("<text:p>&x;</text:p>", before='<!DOCTYPE d SYSTEM "file:///etc/passwd">'),
            Reason.FORBIDDEN,
        ),
        ("vast.pptx", lambda: samples.pptx("<a:p>" + " " * (65 * 1024 * 1024) + "</a:p>"), Reason.TOO_LARGE),
        ("broken.odt", samples.open_document("<text:p>half"), Reason.DAMAGED),
        ("broken.pptx", samples.pptx("<a:p>half"), Reason.DAMAGED),
        ("hollow.odt", samples.archive({"mimetype": "application/vnd.oasis.opendocument.text"}), Reason.DAMAGED),
        ("broken.pdf", b"%PDF-1.4\n" + b"x" * 500, Reason.DAMAGED),
        ("broken.xlsx", samples.archive({"[Content_Types].xml": "<a/>", "xl/workbook.xml": "<"}), Reason.DAMAGED),
        ("locked.pdf", samples.locked_pdf(), Reason.PASSWORD),
        ("locked.odt", samples.locked_document("text"), Reason.PASSWORD),
        ("locked.ods", samples.locked_document("spreadsheet"), Reason.PASSWORD),
    ],
)
def test_what_cannot_be_read_is_a_stated_failure_of_that_file(
    people: People, name: str, data: bytes | Callable[[], bytes], reason: Reason
) -> None:
    kept = put(people, name, data() if callable(data) else data)
    db.session.commit()
    began = time.monotonic()
    extraction.extract_pending()
    assert (kept.text_state, kept.text, kept.text_reason) == ("failed", "", reason)
    assert time.monotonic() - began < 45


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", Reason.TOO_MUCH),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", Reason.TOO_MUCH),
        ("import os; os.abort()", Reason.CRASHED),
        ("import time; time.sleep(60)", Reason.TOO_MUCH),
    ],
)
def test_a_reader_that_ends_is_the_outcome_of_its_file(
    people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, reason: Reason
) -> None:
    """In place of the reader runs something that comes to such an end."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(extraction.sys, "executable", str(python))
    monkeypatch.setattr(extraction, "PATIENCE_S", 2.0)
    kept = put(people, "a.txt", b"a")
    db.session.commit()
    extraction.extract_pending()
    assert (kept.text_state, kept.text_reason, kept.text_error) == ("failed", reason, None)


def test_a_picture_has_no_text_and_waits_for_nobody(people: People) -> None:
    kept = put(people, "photo.PNG", samples.PNG)
    db.session.commit()
    assert (kept.media_type, kept.text_state, attachments.is_picture(kept)) == ("image/png", "none", True)
    assert extraction.extract_pending() == 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.svg", b"<svg onload='alert(1)'/>"),
        ("x.html", b"<script>alert(1)</script>"),
        ("x.xml", b"<a/>"),
        ("x.exe", b"MZ"),
        ("x", b"text"),
        ("x.pdf.html", b"<b>"),
        ("x.png", b"<svg onload='alert(1)'/>"),
        ("x.pdf", b"<html>"),
        ("x.pdf", samples.PNG),
        ("x.docx", samples.xlsx()),
        ("x.docx", b"PK\x03\x04 not really"),
        ("x.txt", b"a\0b"),
        ("x.odt", samples.archive({"mimetype": "text/html"})),
        ("x.txt", b""),
        ("x.zip", lambda: samples.archive({"a": "0" * (301 * 1024 * 1024)})),
    ],
)
def test_other_files_are_refused_and_leave_nothing_behind(
    people: People, name: str, data: bytes | Callable[[], bytes]
) -> None:
    with pytest.raises(Invalid) as refused:
        put(people, name, data() if callable(data) else data)
    assert set(refused.value.fields) == {"file"}
    db.session.rollback()
    assert list(attachments.folder().iterdir()) == []


def test_a_file_that_is_too_large_is_refused_while_it_comes(people: People) -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return b"a" * size

    stream = Endless()
    with pytest.raises(Invalid):
        attachments.store(stream, file_name="x.txt", owner_kind="article", owner_id=1, by=people.carol.viewer)
    assert stream.taken <= attachments.LARGEST_BYTES + attachments.CHUNK_BYTES
    assert list(attachments.folder().iterdir()) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\me\\a b.pdf", "a b.pdf"),
        ("in\u202evoice.txt", "invoice.txt"),
        ('a"b\r\nc.txt', "abc.txt"),
        ("", "file"),
        ("密封圈.pdf", "密封圈.pdf"),
        ("x" * 300 + ".txt", "x" * 196 + ".txt"),
        ("...", "file"),
    ],
)
def test_names_are_cleaned(given: str, kept: str) -> None:
    assert clean_name(given) == kept


def test_a_file_is_found_only_beneath_its_owner(people: People) -> None:
    kept = put(people, "a.txt", b"a")
    inside = put(people, "b.txt", b"b", is_internal=True)
    db.session.commit()
    assert attachments.find(kept.id, owner_kind="article", owner_id=1) is kept
    assert attachments.find(kept.id, owner_kind="article", owner_id=2) is None
    assert attachments.find(kept.id, owner_kind="record", owner_id=1) is None
    assert attachments.find(inside.id, owner_kind="article", owner_id=1) is None
    assert attachments.find(inside.id, owner_kind="article", owner_id=1, with_internal=True) is inside
    assert attachments.find(2**40, owner_kind="article", owner_id=1) is None


def test_files_without_a_row_are_swept_after_a_day(people: People) -> None:
    kept, gone = put(people, "a.txt", b"a"), put(people, "b.txt", b"b")
    db.session.commit()
    paths = [attachments.path_of(kept), attachments.path_of(gone)]
    attachments.delete(gone)
    db.session.commit()
    assert attachments.sweep() == 0
    for path in paths:
        os.utime(path, (0, 0))
    assert attachments.sweep() == 1
    assert [path.exists() for path in paths] == [True, False]


def test_stored_files_are_the_portal_s_alone(people: People) -> None:
    path: Path = attachments.path_of(put(people, "a.txt", b"a"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "a.txt" not in path.name


@pytest.mark.thorough
@pytest.mark.parametrize(
    "deed",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "open('/tmp/casebook-must-not-be-written', 'w').write('x')",
        "bytearray(2 * 1024**3)",
        "os.listdir('/root')",
        "open('/etc/passwd').read()",
        "ctypes.CDLL(None, use_errno=True).open(b'/etc/passwd', 0) < 0 and refuse()",
    ],
)
def test_the_reader_of_files_is_confined(deed: str) -> None:
    code = f"""
from portal.attachments.reader import confine
import ctypes
import encodings.idna
import os
def refuse():
    raise OSError
confine()
try:
    {deed}
except (PermissionError, MemoryError, OSError) as error:
    print(type(error).__name__, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() in {"PermissionError", "MemoryError", "OSError"}, done.stderr


def test_the_reader_of_files_reads_its_file_and_nothing_else_of_the_portals(people: People, tmp_path: Path) -> None:
    """Neither the secret key nor another file; told by the kernel, where it has Landlock, also to native code."""
    if not has_landlock():
        pytest.skip(f"{NO_SERVER}Landlock (this kernel has none)")
    path = attachments.path_of(put(people, "a.txt", b"the own text"))
    secret = path.parents[1] / "secret_key"
    secret.write_text("the secret")
    code = f"""
import ctypes, pathlib
from portal.attachments.reader import confine, read
path = pathlib.Path({str(path)!r})
confine(path)
print(read(path, ".txt"))
native = ctypes.CDLL(None)
print([native.open(name, 0) for name in ({str(secret).encode()!r}, {str(path.parent).encode()!r})])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "the own text\n[-1, -1]\n", done.stderr


def has_landlock() -> bool:
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1)) > 0
