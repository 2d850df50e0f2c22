"""Fixtures that every test may use, loaded by the processes that run tests."""

import gc

import pytest

pytest_plugins = ["tests.skips"]
FIXTURES = ("tests.people", "tests.fixtures", "tests.library", "tests.server_fixtures")

# What modules make stays, so the garbage collector waits until all are imported (`tests.fixtures`).
gc.disable()
pytest.register_assert_rewrite(*FIXTURES)


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures; a process that only hands tests to others needs none, and no portal behind them."""
    if config.getoption("dist", "no") == "no":
        for name in FIXTURES:
            config.pluginmanager.import_plugin(name)
