"""`python -m tests.drills`: start the product, let people write while things break, and judge.

    python -m tests.drills --setup embedded --seed 7 --faults 100 --writes 50000 --long

Exit 0 when everything held, 1 otherwise; the last line says how to run the same again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.drills.drill import Drill, Orders
from tests.drills.places import PLACES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description="The fault drill.")
    parser.add_argument("--setup", choices=sorted(PLACES), default="embedded")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--writes", type=int, default=50_000)
    parser.add_argument("--writers", type=int, default=5)
    parser.add_argument("--import-lines", type=int, default=1_000)
    parser.add_argument("--long", action="store_true", help="faults last 5 to 75 seconds instead of 0.5 to 3")
    parser.add_argument("--folder", type=Path, help="keep data and logs here instead of throwing them away")
    given = parser.parse_args()
    orders = Orders(
        setup=given.setup,
        seed=given.seed,
        faults=given.faults,
        writes=given.writes,
        writers=given.writers,
        import_lines=given.import_lines,
        is_long=given.long,
    )
    with tempfile.TemporaryDirectory(prefix="casebook-drill-", ignore_cleanup_errors=True) as folder:
        verdict = Drill(orders, given.folder or Path(folder)).run()
    sys.stdout.write("\n".join(verdict.lines()) + "\n")
    return 0 if verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
