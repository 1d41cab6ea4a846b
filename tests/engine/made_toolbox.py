"""A toolbox made for a test: a package with a real entry point, a manifest and a generated types.json."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]


def make_toolbox(site: Path, name: str, modules: Mapping[str, str], *, package: str = "", scopes: str = "") -> Path:
    """Put a toolbox into the folder `site` as an installer does, and return the package's folder."""
    package = package or f"mimctl_{name}"
    folder = site / package
    folder.mkdir(parents=True)
    for module, text in {"__init__.py": "", **modules}.items():
        path = folder / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        (path.parent / "__init__.py").touch()
    manifest = f'schema_version = 1\nname = "{name}"\nsummary = "made"\nscopes = [{scopes}]\n'
    (folder / "plugin.toml").write_text(manifest, encoding="utf-8")
    facts = site / f"{package}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(f"[mimctl.plugins]\n{name} = {package}\n", encoding="utf-8")
    write_table(folder)
    return folder


def write_table(folder: Path) -> None:
    """Generate the toolbox's types.json from its source."""
    subprocess.run([sys.executable, "-m", "mimctl.config.types", str(folder)], check=True, capture_output=True)


def run_with(site: Path, code: str, **environment: str) -> str:
    """Run code in a fresh interpreter that has the toolboxes of `site`, and return what it prints."""
    path = os.pathsep.join([str(site), str(ROOT), str(ROOT / "plugins" / "det")])
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
