"""Keeps virtual environments for building wheels in the cache, one for each set of requirements."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mimctl.errors import MimctlError

Report = Callable[[str], None]

_PURE = ("hatchling>=1.25", "scikit-build-core>=0.11")
_COMPILED = (*_PURE, "cmake>=3.24", "ninja>=1.11")
_READY = "ready.json"
_DROPPED = frozenset(
    ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
)


def pure_environment(*, cache_dir: Path, report: Report) -> Path:
    """Return the interpreter of an environment that builds pure-Python wheels, making it where needed."""
    return _ensure(_PURE, None, "", cache_dir=cache_dir, report=report)


def compile_environment(torch: str, *, cache_dir: Path, torch_index: str, report: Report) -> Path:
    """Return the interpreter of an environment that compiles against `torch` (its CPU build), making it where needed.

    torch comes from where pip's own configuration offers the CPU build, else from `<torch_index>/cpu`.
    """
    return _ensure(_COMPILED, torch, torch_index, cache_dir=cache_dir, report=report)


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment variables of a build: ours without what would let other packages in."""
    kept = {key: value for key, value in os.environ.items() if key not in _DROPPED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", **more}


def _ensure(
    requirements: Sequence[str], torch: str | None, torch_index: str, *, cache_dir: Path, report: Report
) -> Path:
    facts: dict[str, object] = {
        "requirements": list(requirements),
        "torch": torch,
        "python": [sys.version, sys.base_prefix],
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()[:16]
    folder = cache_dir / "build-envs" / key
    python = folder / "bin" / "python"
    if _is_ready(folder):
        return python
    with _lock(folder.with_name(f"{key}.lock"), report):
        if not _is_ready(folder):  # another build may have made it while this one waited
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted build left
            report(f"making a build environment in {folder}")
            _create(folder, python, requirements, torch, torch_index)
            _write_ready(folder, facts)
    return python


def _is_ready(folder: Path) -> bool:
    return (folder / _READY).is_file() and (folder / "bin" / "python").exists()


def _write_ready(folder: Path, facts: dict[str, object]) -> None:
    temporary = folder / f".{_READY}"
    temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / _READY)


def _create(folder: Path, python: Path, requirements: Sequence[str], torch: str | None, torch_index: str) -> None:
    _run([sys.executable, "-m", "venv", str(folder)], "cannot make a virtual environment", ["install `python3-venv`"])
    install = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    _run([*install, *requirements], "cannot install the build tools")
    if torch is None:
        return
    # Only headers and libraries are wanted, so torch comes without its dependencies.
    install = [*install, "--no-deps"]
    if subprocess.run([*install, f"torch=={torch}+cpu"], env=child_environment(), capture_output=True).returncode != 0:
        index = f"{torch_index.rstrip('/')}/cpu"
        _run([*install, "--index-url", index, f"torch=={torch}"], f"cannot install the CPU build of torch {torch}")


def _run(argv: list[str], message: str, hints: Sequence[str] = ()) -> None:
    done = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    raise MimctlError(
        message,
        code="build-environment",
        causes=[f"`{' '.join(argv)}` ended with {done.returncode}", *lines[-5:]],
        hints=list(hints) or ["check that pip can reach its indexes: `pip config list`"],
    )


@contextmanager
def _lock(path: Path, report: Report) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel drops it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another build that holds {path}")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
