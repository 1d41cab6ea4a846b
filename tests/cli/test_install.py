"""What `mimctl install` says of a plan; what it does to environments is tested in tests/installer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WARNING = "torch 2.16.0a0+git1234 is newer than 2.13.0, the newest that the index was verified with"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return an environment with a torch that no index has seen yet."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "pip-26.0.dist-info").mkdir()  # a dry run starts no installer
    (site / "torch").mkdir()
    (site / "torch" / "version.py").write_text("__version__ = '2.16.0a0+git1234'\n")
    (site / "torch-2.16.0a0+git1234.dist-info").mkdir()
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return an index with two builds of the operators, one of which is capped."""
    files = [entry("0.1.0", None), entry("0.2.0", "2.15")]
    document = {"schema_version": 1, "generator": "test", "files": files, "torch": {"verified": "2.13.0"}}
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "index.json").write_text(json.dumps(document))
    return folder


def entry(version: str, max_torch: str | None) -> dict[str, object]:
    name = f"mimctl_ops-{version}-py3-none-any.whl"
    facts = {"project": "mimctl-ops", "filename": name, "url": f"files/{name}", "sha256": "0" * 64, "version": version}
    build = {"backend": "cpu", "min_torch": "2.10", "max_torch": max_torch}
    return {**facts, "tags": ["py3-none-any"], "build": build}


def test_a_torch_newer_than_the_index_knows_is_one_warning_line(mimctl, target, index):
    said = mimctl("install", "mimctl-ops", "--dry-run", "--index", index, "--python", target)
    assert (said.code, said.err) == (0, "dry run: nothing was changed\n")
    assert said.out.count("warning: ") == 1
    assert f"\nwarning: {WARNING}\n" in said.out
    assert "  0.2.0+cpu  rejected: works up to torch 2.15, found 2.16.0a0+git1234\n" in said.out
    assert "  0.1.0+cpu  chosen\n" in said.out


def test_the_warning_stands_in_the_json_document(mimctl, target, index):
    said = mimctl("install", "mimctl-ops", "--dry-run", "--json", "--index", index, "--python", target)
    assert json.loads(said.out)["warnings"] == [WARNING]
