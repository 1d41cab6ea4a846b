"""The house's directions: who may import whom, and what a bare import costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_keep_to_the_directions(tmp_path):
    pytest.importorskip("importlinter")
    path = os.pathsep.join(str(ROOT / part) for part in ("", "plugins/cls", "plugins/det", "plugins/ops"))
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(cache_dir=None, no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def modules_after(code: str) -> set[str]:
    listed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.split())


def test_importing_mimctl_loads_itself_alone():
    added = modules_after("import mimctl") - modules_after("pass")
    assert added <= {"mimctl", "__future__"}


@pytest.mark.parametrize("module", ["mimctl.cli.app", "mimctl.api", "mimctl.engine.child"])
def test_nothing_heavy_comes_in_with_what_starts_every_run(module):
    loaded = modules_after(f"import {module}")
    assert loaded.isdisjoint({"torch", "numpy", "cv2", "rich", "requests", "yaml", "importlib.metadata"})


def test_every_verb_is_a_python_function_of_the_package():
    import mimctl

    for name in mimctl.__all__:
        assert getattr(mimctl, name) is not None
    assert set(dir(mimctl)) == set(mimctl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = mimctl.trian
