"""What keeps a serving process small."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from portal.commands import memory

ROOT = Path(__file__).resolve().parents[2]

PASSING = """
import ctypes
from portal.commands import memory
from tests.installation import resident_mb
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
before, _ = resident_mb()
blocks = [libc.malloc(20_000) for _ in range(2000)]
for block in blocks:
    ctypes.memset(block, 1, 20_000)
# What is kept lies behind what is freed, so that the heap cannot be cut off there.
for block in blocks[:-1]:
    libc.free(block)
memory.trim()
print(resident_mb()[0] - before)
"""


@pytest.mark.thorough
def test_what_was_needed_for_a_moment_is_returned():
    done = subprocess.run([sys.executable, "-c", PASSING], capture_output=True, text=True, check=True, cwd=ROOT)
    assert float(done.stdout) < 15


def test_trimming_breaks_nothing():
    kept = [bytes(10_000) for _ in range(1000)]
    memory.trim()
    assert kept == [bytes(10_000)] * 1000


@pytest.mark.thorough
def test_what_is_set_aside_is_still_there_and_no_longer_looked_through():
    before = gc.get_freeze_count()
    stays = [[number] for number in range(20_000)]
    memory.set_aside_what_stays()
    assert gc.get_freeze_count() >= before + len(stays)
    assert len(gc.get_objects()) < len(stays)
    assert stays[-1] == [19_999]


def test_connections_keep_little(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'database'}")
    memory.keep_small_caches(engine)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA cache_size")).scalar_one() == -memory.SQLITE_CACHE_KB
    engine.dispose()
