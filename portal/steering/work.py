"""What the worker does for editors: previews and measurements, a slice at a time."""

from portal.search.current import engine
from portal.steering import measurements, previews

SLICE_S = 2.0
"""Mail and other duties wait so long at most."""


def go_on() -> None:
    """Do one slice of the oldest open piece of work and commit it."""
    # Somebody waits for a preview; measurements may take their time.
    if not previews.go_on(engine(), budget_s=SLICE_S):
        measurements.go_on(engine(), budget_s=SLICE_S)
