"""Every text that people see is translated, and the compiled catalogue is the one that was written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
MESSAGES = ROOT / "portal/translations/zh/LC_MESSAGES/messages.po"
ASK = "Run `make translations`, then fill in what is empty in portal/translations."
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")


def read(path: Path, locale: str | None = None) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=locale)


@pytest.fixture(scope="module")
def chinese() -> Catalog:
    return read(MESSAGES, "zh")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """What the code and the templates hold now."""
    found = tmp_path_factory.mktemp("texts") / "messages.pot"
    command = re.search(r"pybabel --quiet (extract .*?) \\\n\s+(.*?)--output-file", (ROOT / "Makefile").read_text())
    assert command is not None
    words = re.sub(r"'([^']*)'", lambda quoted: quoted[1].replace(" ", "\0"), f"{command[1]} {command[2]}").split()
    subprocess.run(
        [
            Path(sys.executable).with_name("pybabel"),
            "--quiet",
            *(word.replace("\0", " ") for word in words),
            f"--output-file={found}",
            ".",
        ],
        cwd=ROOT,
        check=True,
    )
    return [message for message in read(found) if message.id]


def said(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


@pytest.mark.thorough
def test_every_text_is_in_the_catalogue_and_translated(texts: list[Message], chinese: Catalog) -> None:
    assert len(texts) > 100
    found = [(message.id, chinese.get(message.id, message.context)) for message in texts]
    missing = [text for text, translated in found if translated is None or not all(said(translated))]
    assert missing == [], ASK


def test_no_translation_is_a_guess(chinese: Catalog) -> None:
    assert [message.id for message in chinese if message.id and message.fuzzy] == [], ASK


def test_translations_keep_the_placeholders(chinese: Catalog) -> None:
    wrong = []
    for message in chinese:
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        wanted = {name for text in ids for name in PLACEHOLDER.findall(text)}
        # One form serves all numbers in Chinese, so a name that only the plural has must be there.
        if message.id and any(set(PLACEHOLDER.findall(text)) != wanted for text in said(message)):
            wrong.append(message.id)
    assert wrong == []


def test_the_compiled_catalogue_is_that_of_the_source(chinese: Catalog) -> None:
    with MESSAGES.with_suffix(".mo").open("rb") as file:
        compiled = [(tuple(message.id), said(message)) for message in read_mo(file) if message.id]
    assert sorted(compiled) == sorted((tuple(m.id), said(m)) for m in chinese if m.id), ASK
