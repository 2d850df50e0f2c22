"""What runs in a process of its own for each file: reads the text out of it and prints it as JSON.

The file is anybody's.  The process has little memory and time, no network, and may write nothing; the parent
(`portal.attachments.extraction`) takes whatever becomes of it as the outcome for that one file.
"""

import ctypes
import json
import os
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from portal.attachments.reasons import Reason, Unreadable

CPU_LIMIT_S = 20
MEMORY_LIMIT_BYTES = 640 * 1024 * 1024
LONGEST_TEXT = 500_000
MOST_PAGES = 2_000
CLONE_NEWUSER_AND_NET = 0x10000000 | 0x40000000
NO_NEW_PRIVILEGES = 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The system calls of Landlock, the same on every kind of processor."""
RULE_BENEATH, VERSION_FLAG = 1, 1
READ_FILE, READ_FOLDER = 1 << 2, 1 << 3
EVERY_ACCESS = (1 << 13) - 1
EVERY_CONNECTION, FIRST_WITH_CONNECTIONS = 0b11, 4
SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")


def read_pdf(path: Path) -> Iterator[str]:
    """Yield the text of each page."""
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        for number in range(min(len(document), MOST_PAGES)):
            page = document[number]
            text = page.get_textpage()
            yield text.get_text_bounded()
            text.close()
            page.close()


def read_docx(path: Path) -> Iterator[str]:
    """Yield the plain text of a Word document."""
    import mammoth

    with path.open("rb") as file:
        yield mammoth.extract_raw_text(file).value


def read_sheets(path: Path) -> Iterator[str]:
    """Yield the rows of all sheets, cells divided by tabs."""
    from python_calamine import CalamineWorkbook

    from portal.attachments import office

    # The library takes a locked one for an empty one when, as here, no extension tells it what to expect.
    with zipfile.ZipFile(path) as archive:
        office.refuse_locked(archive)
    workbook = CalamineWorkbook.from_path(path)
    for name in workbook.sheet_names:
        yield name
        for row in workbook.get_sheet_by_name(name).iter_rows():
            line = "\t".join(str(cell) for cell in row if cell not in ("", None))
            if line:
                yield line


def read_slides(path: Path) -> Iterator[str]:
    """Yield the lines of a PowerPoint presentation: each slide, then what is noted below it."""
    from portal.attachments import office

    yield from office.read_slides(path, most=MOST_PAGES)


def read_open_document(path: Path) -> Iterator[str]:
    """Yield the paragraphs of an OpenDocument text or presentation."""
    from portal.attachments import office

    yield from office.read_open_document(path)


def read_plain(path: Path) -> Iterator[str]:
    """Yield a text file in the encoding it most likely has."""
    with path.open("rb") as file:
        data = file.read(4 * LONGEST_TEXT)
    for encoding in ("utf-16",) if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig",):
        try:
            yield data.decode(encoding)
        except UnicodeDecodeError:
            continue
        else:
            return
    from charset_normalizer import from_bytes

    best = from_bytes(data[:100_000], cp_isolation=["gb18030", "big5", "cp1252", "utf_8", "utf_16"]).best()
    yield data.decode(best.encoding if best else "utf-8", "replace")


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".pptx": read_slides,
    ".odt": read_open_document,
    ".odp": read_open_document,
    ".xlsx": read_sheets,
    ".ods": read_sheets,
    ".txt": read_plain,
    ".log": read_plain,
    ".csv": read_plain,
    ".md": read_plain,
    ".json": read_plain,
}


def read(path: Path, extension: str) -> str:
    """Return a file's text, cut where it becomes too long."""
    pieces: list[str] = []
    length = 0
    for piece in READERS[extension](path):
        pieces.append(piece)
        length += len(piece) + 1
        if length > LONGEST_TEXT:
            break
    # What no database or JSON can hold is of no use to a search.
    text = "\n".join(pieces)[:LONGEST_TEXT].encode("utf-8", "ignore").decode().replace("\0", " ")
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def confine(readable: Path | None = None) -> None:
    """Take away memory, time, the network, the right to write or start anything, and all files but one."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where the kernel allows it, the process moves into a network of its own without any interface.
    ctypes.CDLL(None).unshare(CLONE_NEWUSER_AND_NET)
    close_files(readable)
    sys.addaudithook(_refuse)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("connections", ctypes.c_uint64))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("folder", ctypes.c_int32))


def close_files(readable: Path | None) -> None:
    """Let the kernel refuse all files but the given one and the libraries, and all connections.

    The hook below hears only of what Python does; a reader's native code is held by this alone.  Kernels without
    Landlock (before 5.13, or with it turned off) leave the files open.
    """
    call = ctypes.CDLL(None, use_errno=True).syscall
    version = call(CREATE_RULESET, None, 0, VERSION_FLAG)
    if version < 1:
        return
    wanted = _Ruleset(EVERY_ACCESS, EVERY_CONNECTION)
    size = ctypes.sizeof(wanted) if version >= FIRST_WITH_CONNECTIONS else 8
    ruleset = call(CREATE_RULESET, ctypes.byref(wanted), size, 0)
    if ruleset < 0:
        return
    packages = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
    libraries = (sys.prefix, sys.base_prefix, *packages, *SYSTEM, str(Path(__file__).parent))
    for path in [*libraries, *([str(readable)] if readable else [])]:
        if not os.path.exists(path):  # noqa: PTH110
            continue
        folder = os.open(path, os.O_PATH)
        access = READ_FILE | READ_FOLDER if os.path.isdir(path) else READ_FILE  # noqa: PTH112
        call(ADD_RULE, ruleset, RULE_BENEATH, ctypes.byref(_Rule(access, folder)), 0)
        os.close(folder)
    ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    call(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        raise PermissionError(event)
    if event.startswith(("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork")):
        raise PermissionError(event)


def _reason_of(error: Exception) -> Reason:
    """Tell a file that is locked from one that is damaged, by the words that all the libraries use."""
    said = f"{type(error).__name__} {error}".lower()
    return Reason.PASSWORD if "password" in said or "encrypted" in said else Reason.DAMAGED


def main() -> None:
    """Print `{"text"}` or `{"reason", "detail"}` for the file and the extension given as arguments."""
    path, extension = Path(sys.argv[1]), sys.argv[2]
    confine(path)
    try:
        answer = {"text": read(path, extension)}
    except MemoryError:
        answer = {"reason": Reason.TOO_MUCH}
    except Unreadable as error:
        answer = {"reason": error.reason, "detail": error.detail}
    except Exception as error:  # noqa: BLE001  Whatever a file provokes is this file's outcome.
        answer = {"reason": _reason_of(error), "detail": f"{type(error).__name__}: {error}"[:300]}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
