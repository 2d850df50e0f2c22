"""What is vendored is what was written down, and the sprite holds every icon that a template asks for."""

import hashlib
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MANIFEST = tomllib.loads((ROOT / "static/vendor/VENDOR.toml").read_text(encoding="utf-8"))


def test_every_vendored_file_has_the_checksum_that_was_written_down() -> None:
    found = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in MANIFEST["sha256"]}
    assert found == MANIFEST["sha256"]


def test_no_vendored_file_is_without_a_checksum() -> None:
    own = {"VENDOR.toml", "bootstrap.scss", "refresh.py"}
    folders = (ROOT / "static/vendor", ROOT / "tests/vendor")
    files = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.iterdir() if path.is_file()}
    assert {name for name in files if Path(name).name not in own} == set(MANIFEST["sha256"])


def test_every_package_has_version_licence_and_integrity() -> None:
    for package in MANIFEST["package"]:
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"]), package
        assert package["licence"], package
        assert package["integrity"].startswith("sha512-"), package


def test_the_style_sheet_embeds_no_pictures_that_the_policy_forbids() -> None:
    assert "data:" not in (ROOT / "static/vendor/bootstrap.css").read_text(encoding="utf-8")


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/vendor/icons.svg").read_text(encoding="utf-8")))
    asked = {
        (name, path.relative_to(ROOT).as_posix())
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r"""(?:\bicon\(|picture=)['"]([a-z0-9-]+)['"]""", path.read_text(encoding="utf-8"))
    }
    assert {(name, where) for name, where in asked if name not in sprite} == set()
