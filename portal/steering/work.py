"""What the worker does for editors: previews and measurements, a slice at a time."""

from portal.search.current import engine
from portal.steering import previews

SLICE_S = 2.0
"""Mail and other duties wait so long at most."""


def go_on() -> None:
    """Do one slice of the oldest open piece of work and commit it."""
    previews.go_on(engine(), budget_s=SLICE_S)
