"""What the processes say about trouble holds no customer's words, and keeps out of the commands' output."""

from flask import Flask

from portal import logs
from portal.api import errors


def test_a_fault_is_told_on_stderr_without_the_values_it_met(app: Flask, capsys) -> None:
    logs.set_up()
    app.testing = False

    def fail() -> str:
        letter = "".join(["my private", " words"])
        raise RuntimeError(f"could not send {len(letter)} characters")

    with app.test_request_context("/api/v1/search"):
        try:
            fail()
        except RuntimeError as error:
            answer, status = errors._answer_fault(error)  # type: ignore[misc]
    assert status == 500
    assert answer.json["error"]["code"] == "internal"  # type: ignore[union-attr]
    said = capsys.readouterr()
    assert said.out == ""
    assert "RuntimeError: could not send 16 characters" in said.err
    assert "my private words" not in said.err
