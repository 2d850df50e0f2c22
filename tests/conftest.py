"""Fixtures that every test may use."""

pytest_plugins = ["tests.fixtures", "tests.people", "tests.server_fixtures"]
