"""A command line and an engine of different generations: the run is refused, and the older one is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mimctl import __version__
from mimctl.spec import SCHEMA_VERSION, RunSpec


def run(path: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "mimctl.engine.child", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=240, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("schema", "older", "hint"),
    [
        (SCHEMA_VERSION + 1, "the engine of this environment is the older one", "`mimctl upgrade --all`"),
        (SCHEMA_VERSION - 1, "the command line is the older one", "`pipx upgrade mimctl`"),
        (None, "the command line is the older one", "`pip install -U mimctl`"),
    ],
)
def test_engine_refuses_a_spec_of_another_generation(tmp_path, schema, older, hint):
    spec = RunSpec(plugin="toy", package="mimctl_toy", action="train", entry="mimctl_toy:train", mimctl_version="7.1")
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**json.loads(spec.to_json()), "schema_version": schema}))
    done = run(path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[spec-version]" in done.stderr
    assert f"written by mimctl 7.1, read by the engine of mimctl {__version__}" in done.stderr
    assert older in done.stderr
    assert hint in done.stderr


def test_engine_takes_the_spec_of_another_version_of_the_same_generation(tmp_path):
    spec = RunSpec(plugin="toy", package="platform", action="x", entry="platform:no_such", mimctl_version="7.1")
    spec.write(tmp_path / "spec.json")
    done = run(tmp_path / "spec.json")
    assert "spec-version" not in done.stderr
    assert "no_such" in done.stderr, "it came as far as the entry"
