"""Which files may be stored: an extension of the list, and content that is what the extension says.

puremagic tells common formats apart; office files are all ZIP archives to it, so their own table looks inside.
"""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from flask_babel import gettext

HEAD_BYTES = 8192
MOST_MEMBERS = 5_000
LARGEST_UNPACKED = 300 * 1024 * 1024
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class FileType:
    """One kind of file that may be stored.

    `content` is how its bytes are recognised: `text`, `zip`, an office archive's own folder, or puremagic's extensions.
    """

    media_type: str
    content: str
    is_picture: bool = False


FILE_TYPES: dict[str, FileType] = {
    ".pdf": FileType("application/pdf", ".pdf"),
    ".docx": FileType("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "word/"),
    ".xlsx": FileType("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xl/"),
    ".pptx": FileType("application/vnd.openxmlformats-officedocument.presentationml.presentation", "ppt/"),
    ".odt": FileType("application/vnd.oasis.opendocument.text", "mimetype"),
    ".ods": FileType("application/vnd.oasis.opendocument.spreadsheet", "mimetype"),
    ".odp": FileType("application/vnd.oasis.opendocument.presentation", "mimetype"),
    ".txt": FileType("text/plain", "text"),
    ".log": FileType("text/plain", "text"),
    ".csv": FileType("text/csv", "text"),
    ".md": FileType("text/markdown", "text"),
    ".json": FileType("application/json", "text"),
    ".png": FileType("image/png", ".png", is_picture=True),
    ".jpg": FileType("image/jpeg", ".jpg .jpeg .jfif", is_picture=True),
    ".jpeg": FileType("image/jpeg", ".jpg .jpeg .jfif", is_picture=True),
    ".gif": FileType("image/gif", ".gif", is_picture=True),
    ".webp": FileType("image/webp", ".webp", is_picture=True),
    ".zip": FileType("application/zip", "zip"),
}
"""No SVG, HTML or XML: they carry scripts."""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')


def clean_name(name: str) -> str:
    """Return a file's name without folders, control characters and marks that turn the reading direction round."""
    plain = _UNSAFE.sub("", name.replace("\\", "/").rsplit("/", 1)[-1]).strip(" .")
    stem, dot, extension = plain.rpartition(".")
    if not dot:
        return plain[:LONGEST_NAME] or "file"
    return f"{stem[: LONGEST_NAME - len(extension) - 1]}.{extension}"


def recognise(name: str, path: Path) -> FileType:
    """Return the type of a file that was uploaded under a name and lies at a path.

    Raises:
        ValueError: such files are not taken; the sentence says which are.
    """
    extension = Path(name).suffix.lower()
    file_type = FILE_TYPES.get(extension)
    if file_type is None:
        raise ValueError(
            gettext(
                "%(name)s: files of this kind are not taken. Possible are %(kinds)s.",
                name=name,
                kinds=", ".join(known.lstrip(".") for known in FILE_TYPES),
            )
        )
    if not _is_what_it_says(file_type, path):
        raise ValueError(
            gettext(
                "%(name)s: its content is not that of a %(kind)s file. Save it anew and try again.",
                name=name,
                kind=extension.lstrip("."),
            )
        )
    return file_type


def _is_what_it_says(file_type: FileType, path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if file_type.content == "text":
        return is_text(head)
    if file_type.content in {"zip", "mimetype"} or file_type.content.endswith("/"):
        # An archive is read from its end, so that anything may stand before it: a page, or a program.
        return head.startswith(b"PK") and _is_archive(file_type, path)
    return bool(_likeliest(head, path.name) & set(file_type.content.split()))


def _likeliest(head: bytes, name: str) -> set[str]:
    """Return the extensions of what these bytes begin most likely."""
    import puremagic  # Its tables are large, and most processes never see a file.

    try:
        matches = puremagic.magic_string(head, filename=name)
    except (puremagic.PureError, ValueError):
        return set()
    surest = max((match.confidence for match in matches), default=0)
    return {match.extension.lower() for match in matches if match.confidence == surest}


def _is_archive(file_type: FileType, path: Path) -> bool:
    """Say whether it is a sound archive of bounded size with, for office files, the parts of its kind."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > LARGEST_UNPACKED:
                return False
            if file_type.content == "zip":
                return True
            if file_type.content == "mimetype":
                with archive.open("mimetype") as member:
                    return member.read(200).decode("ascii", "replace").strip() == file_type.media_type
            names = {member.filename for member in members}
            return "[Content_Types].xml" in names and any(name.startswith(file_type.content) for name in names)
    except (zipfile.BadZipFile, OSError, KeyError, NotImplementedError, RuntimeError, ValueError):
        return False


def is_text(head: bytes) -> bool:
    """Say whether bytes look like text: UTF-16 with its mark, or no NUL and few control characters."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    controls = sum(byte < 9 or 13 < byte < 32 for byte in head)
    return b"\0" not in head and controls <= len(head) // 50
