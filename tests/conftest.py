"""Fixtures that every test may use."""

pytest_plugins = ["tests.people", "tests.fixtures", "tests.library", "tests.server_fixtures"]
