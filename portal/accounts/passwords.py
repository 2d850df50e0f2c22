"""Passwords: argon2id, and the same time spent on a name nobody has."""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask_babel import gettext

SHORTEST = 10
LONGEST = 200
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""19 MiB and two passes, about 35 ms: many can sign in at once without the web process growing beyond its means."""
NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$qo9h50QSdHpcjMUpLpSf0A$3qRspGk/nKK5T4wv+PUyErPkxUAaLgtGzGPblV4Rjs4"
"""The hash of a forgotten random text, verified where there is no account; a test keeps its cost at `HASHER`'s."""
WELL_KNOWN = frozenset(
    {
        "0123456789", "0987654321", "1234567890", "12345678910", "1q2w3e4r5t", "1qaz2wsx3edc", "abcdefghij",
        "administrator", "changeme123", "changemenow", "iloveyou123", "letmein123", "passw0rd123", "password10",
        "password12", "password123", "password1234", "q1w2e3r4t5", "qwerty12345", "qwerty123456", "qwertyuiop",
        "welcome123", "welcome1234",
    }
)  # fmt: skip


def complaint(password: str, *, email: str = "", name: str = "") -> str | None:
    """Say in a sentence why a password cannot be chosen, or return None."""
    if len(password) < SHORTEST:
        return str(gettext("Choose a password of at least %(least)d characters.", least=SHORTEST))
    if len(password) > LONGEST:
        return str(gettext("Choose a password of at most %(most)d characters.", most=LONGEST))
    lowered = password.lower()
    personal = {email.lower(), email.lower().partition("@")[0], name.lower().replace(" ", "")}
    if lowered in WELL_KNOWN or lowered.replace(" ", "") in personal or len(set(password)) <= 2:
        return str(gettext("This password is among the first that anybody would try. Choose another one."))
    return None


def hash_of(password: str) -> str:
    """Return what is stored of a password."""
    return HASHER.hash(_normal(password))


def is_right(password: str, stored: str | None) -> bool:
    """Compare a password with what is stored; takes as long where nothing is stored."""
    try:
        HASHER.verify(stored or NOBODYS, _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Say whether a stored hash was made with other costs than today's."""
    return HASHER.check_needs_rehash(stored)


def _normal(password: str) -> bytes:
    """Bring what keyboards spell differently to one form; a lone surrogate is kept as it came."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
