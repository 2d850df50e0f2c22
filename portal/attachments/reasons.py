"""Why the text of a file could not be read.  A reason is kept, not a sentence: each reader is told in their language.

`templates/_macros/files.html` holds the sentences.  The confined reader imports this, so it imports nothing itself.
"""

from enum import StrEnum


class Reason(StrEnum):
    """What kept the text of a file from being read."""

    TOO_MUCH = "too_much"
    """It took too much time or memory."""
    CRASHED = "crashed"
    """The reader itself ended."""
    PASSWORD = "password"  # noqa: S105  The word, not one of them.
    FORBIDDEN = "forbidden"
    """It declares what a harmless file of its kind does not: document types with their entities."""
    TOO_LARGE = "too_large"
    """One of its parts, unpacked, is larger than is read."""
    DAMAGED = "damaged"
    """It does not follow its own format; what the reader said is kept beside."""


class Unreadable(Exception):
    """A reader knows why it cannot go on."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
