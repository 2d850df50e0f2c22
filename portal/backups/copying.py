"""Copying files so that nobody else can read them and a power cut loses none."""

import hashlib
import os
from pathlib import Path

CHUNK_BYTES = 1 << 20


def copy_file(source: Path, target: Path) -> str:
    """Copy a file, for its owner alone and safe from a power cut; return the digest of what was copied."""
    digest = hashlib.sha256()
    with (
        source.open("rb") as given,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as taken,
    ):
        while chunk := given.read(CHUNK_BYTES):
            digest.update(chunk)
            taken.write(chunk)
        taken.flush()
        os.fsync(taken.fileno())
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()
