"""Fetch the npm packages that VENDOR.toml names, check them, and rebuild the files that the pages load.

`make vendor` runs it.  npm compares each package with the integrity the registry states; this script compares that
integrity with the one written down here, so that a republished version is noticed, then writes the files' checksums.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MANIFEST = HERE / "VENDOR.toml"
CHECKSUMS = "\n# Written by refresh.py.\n[sha256]\n"


def main() -> int:
    """Refresh every file; return 1 when a package is not the one that was written down."""
    text = MANIFEST.read_text(encoding="utf-8")
    manifest = tomllib.loads(text)
    packages = manifest["package"]
    with tempfile.TemporaryDirectory() as folder:
        wanted = [f"{p['name']}@{p['version']}" for p in packages]
        wanted += [f"{name}@{version}" for name, version in manifest["tools"].items()]
        subprocess.run(
            ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", *wanted], check=True
        )
        modules = Path(folder, "node_modules")
        installed = json.loads((modules / ".package-lock.json").read_text(encoding="utf-8"))["packages"]
        wrong = [
            f"{p['name']} {p['version']} is {found} in the registry."
            for p in packages
            if (found := installed[f"node_modules/{p['name']}"]["integrity"]) != p["integrity"]
        ]
        if wrong:
            sys.stderr.write("\n".join([*wrong, "Nothing was changed. Compare with VENDOR.toml before trusting it.\n"]))
            return 1
        for package in packages:
            for target, source in package["files"].items():
                copied = (modules / package["name"] / source).read_bytes()
                (ROOT / target).write_bytes(re.sub(rb"\n//# sourceMappingURL=\S+\s*$", b"\n", copied))
        (HERE / "bootstrap.css").write_text(_bootstrap(modules), encoding="utf-8")
        (HERE / "icons.svg").write_text(_sprite(modules, manifest["icons"]), encoding="utf-8")
    files = sorted({target for p in packages for target in p["files"]} | set(manifest["built"]))
    lines = "".join(f'"{name}" = "{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}"\n' for name in files)
    MANIFEST.write_text(text.split(CHECKSUMS)[0] + CHECKSUMS + lines, encoding="utf-8")
    return 0


def _bootstrap(modules: Path) -> str:
    """Compile the chosen parts into the cascade layer `vendor`, where every rule of ours outranks them."""
    command = [
        "node",
        str(modules / "sass" / "sass.js"),
        "--style=compressed",
        "--quiet",
        "--no-source-map",
        "--no-charset",
    ]
    css = subprocess.run(
        [*command, f"--load-path={modules}", str(HERE / "bootstrap.scss")], check=True, capture_output=True, text=True
    ).stdout
    return f"@layer vendor{{{css.strip()}}}\n"


def _sprite(modules: Path, names: list[str]) -> str:
    """Put the chosen icons into one SVG as symbols, each under its own name."""
    symbols = []
    for name in sorted(names):
        svg = (modules / "bootstrap-icons" / "icons" / f"{name}.svg").read_text(encoding="utf-8")
        inner = re.sub(r"\s*\n\s*", "", svg.split(">", 1)[1].rsplit("</svg>", 1)[0])
        symbols.append(f'<symbol id="{name}" viewBox="0 0 16 16" fill="currentColor">{inner}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


if __name__ == "__main__":
    sys.exit(main())
