"""What docs/guarantees.md promises to be held by a test is held by one that exists."""

import ast
import re

from tests.test_architecture import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_a_guarantee_names_exists():
    named = NAMED.findall((ROOT / "docs/guarantees.md").read_text())
    missing = []
    for path, name in named:
        file = ROOT / path
        functions = ast.walk(ast.parse(file.read_text())) if file.is_file() else ()
        tests = {each.name for each in functions if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}
        if not tests or (name and name not in tests):
            missing.append(f"{path}::{name}")
    assert missing == []
    assert len(named) > 50


def test_every_guarantee_names_a_test():
    rows = [line for line in (ROOT / "docs/guarantees.md").read_text().splitlines() if re.match(r"\| \d", line)]
    assert [row for row in rows if not NAMED.search(row)] == []
    assert len(rows) >= 26
