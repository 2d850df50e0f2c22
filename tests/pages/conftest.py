"""The style guide as a small portal of its own, and a browser for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.settings import Settings
from tests.pages.style_guide import make_guide


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder: Path = tmp_path_factory.mktemp("guide")
    return make_guide(Settings.from_environ({"CASEBOOK_DATA_DIR": str(folder), "CASEBOOK_SECRET_KEY": "s" * 40}))


@pytest.fixture
def client(guide: Flask) -> Iterator[FlaskClient]:
    with guide.test_client() as made:
        yield made
