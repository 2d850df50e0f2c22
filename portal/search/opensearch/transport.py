"""The way to several addresses of one cluster: another is asked as long as its answer would come in time."""

from time import monotonic
from typing import Any

from opensearchpy import Transport
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, TransportError

READ_TIMEOUT_S = 0.9
"""So long a reader waits for an engine that does not answer, all addresses together."""
PART = 0.45
"""So much of that a reader waits for one of several addresses."""
AVOIDED_S = 5
"""So long an address that did not answer is left out at first; the library's minute is too long for one slow answer."""


def patience_s(addresses: int) -> float:
    """Return how long a reader waits for one of so many addresses."""
    return READ_TIMEOUT_S if addresses == 1 else READ_TIMEOUT_S * PART


class PatientTransport(Transport):
    """Asks one address after the other: one that refuses costs no time, one that is silent its part of the whole.

    The library's own retries count both alike, so that a slow node and a dead one hide a third that would answer.
    """

    def perform_request(self, *asked: Any, **more: Any) -> Any:
        """See `Transport.perform_request`; its own retries are to be off."""
        latest = monotonic() + READ_TIMEOUT_S * (1 - PART)
        for _ in self.hosts[1:]:
            try:
                return super().perform_request(*asked, **more)
            except TransportError as error:
                if not self._is_worth_another(error) or monotonic() > latest:
                    raise
        return super().perform_request(*asked, **more)

    def _is_worth_another(self, error: TransportError) -> bool:
        if isinstance(error, ConnectionTimeout):
            return bool(self.retry_on_timeout)
        return isinstance(error, NoConnection) or error.status_code in self.retry_on_status
