"""The folder of the embedded engine: one index a folder in it, the file `live`, and the lock of the one writer."""

import fcntl
import json
import os
import struct
import zlib
from pathlib import Path

from portal.search import analysis
from portal.search.embedded.faults import corrupt
from portal.search.embedded.schema import FORMAT
from portal.search.engine import BadQuery, EngineLocked, IndexMissing

SEGMENT_FILES = frozenset({".term", ".idx", ".pos", ".fieldnorm", ".fast", ".store"})
FOOTER_MAGIC = 1337


class Folder:
    """The files of one installation's indices.  Opens no index; knows where each is and who may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_file: int | None = None

    def index_path(self, name: str) -> Path:
        """Return where an index of this name lies; refuse what cannot be a name."""
        if not name or name.startswith(".") or "/" in name or name == "live":
            raise BadQuery(f"{name!r} cannot be the name of an index. Use letters, digits, - and _.")
        return self.path / name

    def index_paths(self) -> list[Path]:
        """Return the folders of all indices, left-over ones too."""
        return sorted(path for path in self.path.iterdir() if path.is_dir()) if self.path.is_dir() else []

    def live_index(self) -> str | None:
        """Return the name of the index that searches read; None when there is none yet."""
        try:
            return (self.path / "live").read_text().strip() or None
        except FileNotFoundError:
            return None

    def live_name(self) -> str:
        """Return the name of the index that searches read, or raise `IndexMissing`."""
        name = self.live_index()
        if name is None:
            raise IndexMissing("There is no search index yet. `casebook index rebuild` makes one.")
        return name

    def make_live(self, name: str) -> None:
        """Let searches read this index, in one step that survives a loss of power."""
        draft = self.path / "live.new"
        with draft.open("w") as file:
            file.write(name)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path / "live")
        sync_folder(self.path)

    def stamp(self, name: str) -> tuple[int, ...]:
        """Return what changes with every commit to an index."""
        path = self.index_path(name)
        try:
            status = (path / "meta.json").stat()
        except FileNotFoundError:
            if path.is_dir():
                raise corrupt(name, "its meta.json is missing") from None
            raise IndexMissing(
                f"There is no search index {name!r} in {str(self.path)!r}. `casebook index rebuild` makes one."
            ) from None
        return (status.st_mtime_ns, status.st_ino, status.st_size)

    def mark_layout(self, name: str) -> None:
        """Write down what an index is written with."""
        (self.index_path(name) / "format").write_text(_layout())

    def check_layout(self, name: str) -> None:
        """Raise `IndexCorrupt` for an index that was written with another layout or folding table."""
        try:
            written = (self.index_path(name) / "format").read_text()
        except FileNotFoundError:
            written = ""
        if written != _layout():
            raise corrupt(name, "it was written by another version of Casebook")

    def damaged_file(self, name: str) -> str | None:
        """Compare every file of the last commit with the checksum behind it; return the first that is damaged.

        A killed writer may leave others half written: no commit names them, nobody reads them, the next writer
        removes them.  One that is gone because somebody committed meanwhile is no damage either.
        """
        while True:
            stamp = self.stamp(name)
            try:
                return next((path.name for path in self._committed_files(name) if not _is_whole(path)), None)
            except FileNotFoundError as error:
                if self.stamp(name) == stamp:
                    return Path(error.filename).name

    def _committed_files(self, name: str) -> list[Path]:
        folder = self.index_path(name)
        segments = json.loads((folder / "meta.json").read_text())["segments"]
        deletions = {one["segment_id"].replace("-", ""): one["deletes"] for one in segments}
        found = [path for path in folder.iterdir() if path.suffix in SEGMENT_FILES and path.stem in deletions]
        found += [folder / f"{one}.{gone['opstamp']}.del" for one, gone in deletions.items() if gone]
        return sorted(found)

    def lock(self) -> None:
        """Become the one writing process of this machine, until `unlock`."""
        if self._lock_file is not None:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self.locked() from None
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._lock_file = descriptor

    def unlock(self) -> None:
        """Let another process write."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def leave_lock(self) -> None:
        """Forget, in a forked child, the lock that its parent holds; closing it is the parent's."""
        self._lock_file = None

    def locked(self) -> EngineLocked:
        """Return the error that names who writes."""
        try:
            owner = (self.path / "writer.lock").read_text() or "?"
        except OSError:
            owner = "?"
        return EngineLocked(
            f"The search index in {str(self.path)!r} is written by process {owner} already. "
            "Stop that process, or leave the work to it."
        )


def sync_folder(path: Path) -> None:
    """Make what was renamed in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _layout() -> str:
    """Return what an index must have been written with to be read: this layout and this folding table."""
    table = zlib.crc32((analysis.TABLES / "fold.txt").read_bytes())
    return f"{FORMAT} {table:08x}\n"


def _is_whole(path: Path) -> bool:
    """Compare a file with the checksum in its footer: JSON, its length, and a magic number."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < 8:
            return False
        file.seek(size - 8)
        length, magic = struct.unpack("<II", file.read(8))
        if magic != FOOTER_MAGIC or length > size - 8:
            return False
        file.seek(size - 8 - length)
        try:
            expected = json.loads(file.read(length))["crc"]
        except (ValueError, KeyError, TypeError):
            return False
        file.seek(0)
        left = size - 8 - length
        found = 0
        while left > 0:
            block = file.read(min(left, 1 << 20))
            if not block:
                return False
            found = zlib.crc32(block, found)
            left -= len(block)
    return bool(found == expected)
