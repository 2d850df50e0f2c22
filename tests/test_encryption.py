"""Sealed values open in their own place only."""

import dataclasses

import pytest

from portal.encryption import Sealed, blind_index, blind_indexes, seal, unseal

PLACE = {"table": "contact_point", "column": "sealed", "row": "k1"}
PLAIN = "alice@example.com"
NEW_SECRET = "another secret of enough length"


def test_a_sealed_value_opens_in_its_place(app):
    sealed = seal(PLAIN, **PLACE)
    assert unseal(sealed, **PLACE) == PLAIN
    assert PLAIN.encode() not in sealed
    assert seal(PLAIN, **PLACE) != sealed


@pytest.mark.parametrize("elsewhere", [{"table": "user"}, {"column": "name"}, {"row": "k2"}])
def test_it_does_not_open_elsewhere(app, elsewhere):
    with pytest.raises(Sealed, match="another place"):
        unseal(seal(PLAIN, **PLACE), **{**PLACE, **elsewhere})


def test_every_changed_byte_is_noticed(app):
    sealed = seal(PLAIN, **PLACE)
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(Sealed):
            unseal(changed, **PLACE)


def test_another_secret_key_is_named(app, settings):
    sealed = seal(PLAIN, **PLACE)
    app.extensions["casebook.settings"] = dataclasses.replace(settings, secret_key=NEW_SECRET)
    with pytest.raises(Sealed, match="CASEBOOK_SECRET_KEY"):
        unseal(sealed, **PLACE)


def test_a_blind_index_finds_equal_values_of_one_purpose(app, settings):
    assert blind_index(PLAIN, "email") == blind_index(PLAIN, "email")
    assert blind_index(PLAIN, "email") != blind_index(PLAIN, "phone")
    before = blind_index(PLAIN, "email")
    app.extensions["casebook.settings"] = dataclasses.replace(settings, secret_key=NEW_SECRET)
    assert blind_index(PLAIN, "email") != before


def test_what_an_old_secret_key_sealed_opens_while_that_key_is_known(app, settings):
    sealed, found = seal(PLAIN, **PLACE), blind_index(PLAIN, "email")
    app.extensions["casebook.settings"] = dataclasses.replace(
        settings, secret_key=NEW_SECRET, old_secret_keys=("an older one that was given up before", settings.secret_key)
    )
    assert unseal(sealed, **PLACE) == PLAIN
    assert blind_index(PLAIN, "email") != found
    assert found in blind_indexes(PLAIN, "email")
