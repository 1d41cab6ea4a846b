"""mimctl replaces itself: what runs goes on with the code that it began with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mimctl

_REPLACED = """
import shutil, sys
from mimctl.installer.transaction.own_code import hold_own_code
hold_own_code()
shutil.rmtree(sys.argv[1])
import importlib
for name in sys.argv[2:]:
    importlib.import_module(name)
import mimctl
from mimctl import explain, lock, doctor
assert mimctl.__file__.startswith(sys.argv[1]), mimctl.__file__
print("torch" in sys.modules, "mimctl.engine" in sys.modules)
"""


def test_what_is_imported_later_is_of_the_version_that_began(tmp_path: Path) -> None:
    own = Path(mimctl.__file__).parent
    others = {"engine", "vision", "__init__.py", "__main__.py"}
    shutil.copytree(own, tmp_path / "mimctl", ignore=shutil.ignore_patterns("__pycache__"))
    names = [
        ".".join(path.relative_to(own.parent).with_suffix("").parts)
        for path in own.rglob("*.py")
        if others.isdisjoint(path.relative_to(own).parts)
    ]
    argv = [sys.executable, "-c", _REPLACED, str(tmp_path / "mimctl"), *names]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert len(names) > 200
    assert answer.stdout.split() == ["False", "False"]
