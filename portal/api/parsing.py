"""The blueprint of the JSON interface: bodies are read so that no nesting and no number of digits is a fault."""

from typing import Any, ClassVar

import flask_smorest


class Parser(type(flask_smorest.Blueprint.ARGUMENTS_PARSER)):  # type: ignore[misc]  # The extension's own parser.
    """Refuses what Python's reader of JSON gives up on, not only what is no JSON."""

    def load_json(self, request: Any, schema: Any) -> Any:
        """Read the body; nesting without end and endless numbers are refused like broken JSON."""
        try:
            return super().load_json(request, schema)
        except (RecursionError, ValueError) as error:
            return self._handle_invalid_json_error(error, request)


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose bodies are read by our parser."""

    ARGUMENTS_PARSER: ClassVar[Parser] = Parser()
