"""What the worker clears away now and then: sessions, links and counts that have run out.  Nothing depends on it."""

from portal.accounts import limits, sessions, tokens


def forget_old() -> None:
    """Delete and commit what can open nothing and is looked at by nobody any more."""
    sessions.forget_old()
    tokens.forget_old()
    limits.forget_old()
