"""The short form of the drill, on one machine with nothing installed: what `make drill` does for an hour, in minutes.

Faults follow the writes and not the clock, each is over when what it hit serves again, and the judgement waits for
conditions; so a slow machine makes it longer and not different.  A failure prints the command that repeats it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills.drill import Drill, Orders

FAULTS, WRITES = 12, 3_000


@pytest.mark.drill
def test_nothing_acknowledged_is_lost_whatever_breaks(tmp_path: Path) -> None:
    orders = Orders(
        setup="embedded",
        seed=20,
        faults=FAULTS,
        writes=WRITES,
        writers=6,
        readers=2,
        import_lines=400,
        patience_s=600,
    )
    verdict = Drill(orders, tmp_path).run()
    print("\n".join(verdict.lines()))
    assert verdict.ledger.violations == []
    assert verdict.faults.total() == FAULTS
    assert verdict.ledger.acknowledged >= WRITES
    assert verdict.kills > 0
    assert verdict.ledger.imported > 0
    assert verdict.searches > 0
