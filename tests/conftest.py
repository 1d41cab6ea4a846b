"""What every test folder may use."""

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples import same_numbers, use_profile
from mini_slurm import cluster
from outside_data import test_data, test_reference

__all__ = ["cluster", "same_numbers", "test_data", "test_reference"]

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process that they start; tests of
# Ctrl-C need what a terminal gives.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # the same with `nohup`
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

use_profile()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes after their argument: a packed file has the time in it, and processes must agree on tests' names."""
    return argname if isinstance(val, bytes) else None


OF_LIBRARIES = (
    "PYTEST_", "KMP_", "TORCHINDUCTOR_", "_TORCHINDUCTOR_", "TORCHELASTIC_SIGNALS_TO_HANDLE", "LD_LIBRARY_PATH", "QT_",
)  # fmt: skip
"""Variables that libraries (torch, OpenCV at its import) set for their own sake, once in a process."""


@pytest.fixture(autouse=True)
def environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves the environment in another state: the next one would be started in it."""
    before = dict(os.environ)
    yield
    monkeypatch.undo()
    left = {name for name in before.keys() | os.environ.keys() if os.environ.get(name) != before.get(name)}
    left = {name for name in left if not name.startswith(OF_LIBRARIES)}
    for name in left:
        os.environ.pop(name, None)
        os.environ.update({name: before[name]} if name in before else {})
    assert not left, f"left changed in the environment: {sorted(left)}"


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that fetches a tool's wheel from the package index and unpacks it."""
    folder = tmp_path_factory.mktemp("tools")
    done: dict[str, Path] = {}

    def fetch(requirement: str) -> Path:
        if requirement not in done:
            place = folder / requirement
            argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            found = subprocess.run([*argv, "--dest", place, requirement], capture_output=True, text=True)
            if found.returncode != 0:
                pytest.skip(f"the package index gives no {requirement}: {found.stderr.strip()[-200:]}")
            with zipfile.ZipFile(next(place.glob("*.whl"))) as archive:
                archive.extractall(place / "unpacked")
            done[requirement] = place / "unpacked"
        return done[requirement]

    return fetch
