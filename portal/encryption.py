"""What must be read again but never lie open: sealed with AES-256-GCM, and found through a keyed blind index.

A sealed value is bound to its table, column and row: copied to another row, it does not open.  Keys are derived from
the portal's secret key, so whoever holds a backup without that key holds nothing.  What an old secret key sealed still
opens and is still found while that key is among the old ones; `casebook keys rotate` writes it anew.

    sealed = format (1 byte) | key id (4) | nonce (12) | ciphertext and tag
"""

import hmac
import json
import os
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app
from sqlalchemy import ColumnElement, LargeBinary, and_, func
from sqlalchemy.orm import InstrumentedAttribute

from portal.settings import Settings

FORMAT = b"\x01"
KEY_ID_BYTES = 4
NONCE_BYTES = 12
_HEAD_BYTES = len(FORMAT) + KEY_ID_BYTES + NONCE_BYTES


class Sealed(Exception):
    """A sealed value cannot be opened; the text says where it stands and why."""


def seal(plain: str, *, table: str, column: str, row: str | int) -> bytes:
    """Encrypt a text for one place.  `row` is whatever names the row for ever: its id or a random key."""
    key = _derive(_settings().secret_key, "seal")
    nonce = os.urandom(NONCE_BYTES)
    return FORMAT + _key_id(key) + nonce + AESGCM(key).encrypt(nonce, plain.encode(), _place(table, column, row))


def unseal(sealed: bytes, *, table: str, column: str, row: str | int) -> str:
    """Decrypt a text that was sealed for this very place.

    Raises:
        Sealed: the value was made with an unknown secret key, was changed, or belongs to another place.
    """
    where = f"{table}.{column} of {row!r}"
    if len(sealed) <= _HEAD_BYTES or not sealed.startswith(FORMAT):
        raise Sealed(f"{where} is not a sealed value.")
    key_id, nonce = sealed[1 : 1 + KEY_ID_BYTES], sealed[1 + KEY_ID_BYTES : _HEAD_BYTES]
    key = next((key for key in map(_sealing_key, _secrets()) if _key_id(key) == key_id), None)
    if key is None:
        raise Sealed(
            f"{where} was sealed with another key. "
            "Set CASEBOOK_SECRET_KEY to the one it was written with, or add that one to CASEBOOK_OLD_SECRET_KEYS."
        )
    try:
        return AESGCM(key).decrypt(nonce, sealed[_HEAD_BYTES:], _place(table, column, row)).decode()
    except InvalidTag:
        raise Sealed(f"{where} was changed, or was sealed for another place.") from None


def is_outdated(column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Return the condition that a column holds what was not sealed with the secret key of today."""
    today = _key_id(_sealing_key(_settings().secret_key))
    return and_(column.is_not(None), func.substr(column, len(FORMAT) + 1, KEY_ID_BYTES, type_=LargeBinary) != today)


def blind_index(value: str, purpose: str) -> str:
    """Return a keyed hash, 64 hexadecimal digits, that finds equal values without telling them.

    Normalise the value first: equal values have equal hashes, similar ones do not.
    """
    return blind_indexes(value, purpose)[0]


def blind_indexes(value: str, purpose: str) -> list[str]:
    """Return the keyed hashes under which a value may be kept: today's, then those of the old secret keys."""
    plain = value.encode("utf-8", "surrogatepass")
    purpose_of_key = f"blind index: {purpose}"
    return [hmac.new(_derive(secret, purpose_of_key), plain, sha256).hexdigest() for secret in _secrets()]


def key_names() -> list[str]:
    """Return names that tell the secret keys apart and give none away: today's, then the old ones."""
    return [_key_id(_sealing_key(secret)).hex() for secret in _secrets()]


def _settings() -> Settings:
    settings: Settings = current_app.extensions["casebook.settings"]
    return settings


def _secrets() -> tuple[str, ...]:
    settings = _settings()
    return (settings.secret_key, *settings.old_secret_keys)


def _sealing_key(secret: str) -> bytes:
    return _derive(secret, "seal")


@lru_cache(maxsize=64)
def _derive(secret: str, purpose: str) -> bytes:
    info = f"casebook {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.encode())


def _key_id(key: bytes) -> bytes:
    """Name a key without telling it."""
    return sha256(b"casebook key id" + key).digest()[:KEY_ID_BYTES]


def _place(table: str, column: str, row: str | int) -> bytes:
    return json.dumps([table, column, str(row)]).encode()
