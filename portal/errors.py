"""What operations raise when they cannot do what was asked."""

from collections.abc import Mapping
from typing import Any


class OperationError(Exception):
    """An operation refused.  The text is a sentence for whoever asked."""

    status = 400
    code = "refused"


class Invalid(OperationError):
    """Some values cannot be used.  `fields` gives a sentence for each of them."""

    status = 422
    code = "invalid"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(fields.values()))
        self.fields = dict(fields)


class Missing(OperationError):
    """There is no such thing, or the viewer may not know that there is."""

    status = 404
    code = "not_found"


class Conflict(OperationError):
    """Somebody else saved in between.  `current` is what stands now, `given` what was about to be saved."""

    status = 409
    code = "conflict"

    def __init__(self, message: str, *, current: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.current = dict(current)
        self.given = dict(given)
