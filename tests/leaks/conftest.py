"""The house that is looked through; a module that needs no index builds its own."""

import pytest

from tests.leaks.house import House, build


@pytest.fixture
def house(library, people) -> House:
    """The portal full of canaries, indexed."""
    made = build(people)
    library.catch_up()
    return made
