"""`python -m tests.drills`: start the product, let people write while things break, and judge.

    python -m tests.drills --setup embedded --seed 7 --faults 100 --writes 50000 --long

Several setups run one after the other, and a table of all verdicts follows; `--report` keeps each verdict as a line of
JSON, from which `--table` prints the table again.  Exit 0 when everything held, 1 otherwise; every verdict ends with
the command that runs the same again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.drills.drill import Drill, Orders
from tests.drills.places import PLACES
from tests.drills.table import table


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description="The fault drill.")
    parser.add_argument("--setup", choices=sorted(PLACES), nargs="+", default=["embedded"])
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--writes", type=int, default=50_000)
    parser.add_argument("--writers", type=int, default=10)
    parser.add_argument("--import-lines", type=int, default=1_000)
    parser.add_argument(
        "--import-share", type=float, default=0.5, help="at most so much of the writes is imported lines"
    )
    parser.add_argument("--long", action="store_true", help="faults last 5 to 90 seconds instead of 0.5 to 3")
    parser.add_argument("--folder", type=Path, help="keep data and logs here instead of throwing them away")
    parser.add_argument("--report", type=Path, help="add each verdict to this file as a line of JSON")
    parser.add_argument("--table", type=Path, help="run nothing; print the table of the verdicts in this file")
    return parser.parse_args()


def main() -> int:
    given = parse()
    if given.table:
        verdicts = [json.loads(line) for line in given.table.read_text().splitlines()]
        sys.stdout.write(table(verdicts))
        return 0 if all(verdict["holds"] for verdict in verdicts) else 1
    verdicts = [run(setup, given) for setup in given.setup]
    if len(verdicts) > 1:
        sys.stdout.write(table(verdicts))
    return 0 if all(verdict["holds"] for verdict in verdicts) else 1


def run(setup: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run one setup, print its verdict, and return it as JSON."""
    orders = Orders(
        setup=setup,
        seed=given.seed,
        faults=given.faults,
        writes=given.writes,
        writers=given.writers,
        import_lines=given.import_lines,
        import_share=given.import_share,
        is_long=given.long,
    )
    with tempfile.TemporaryDirectory(prefix="casebook-drill-", ignore_cleanup_errors=True) as folder:
        place = given.folder / setup if given.folder else Path(folder)
        verdict = Drill(orders, place).run()
    sys.stdout.write("\n".join(verdict.lines()) + "\n")
    sys.stdout.flush()
    if given.report:
        given.report.parent.mkdir(parents=True, exist_ok=True)
        with given.report.open("a") as file:
            file.write(json.dumps(verdict.to_json()) + "\n")
    return verdict.to_json()


if __name__ == "__main__":
    sys.exit(main())
