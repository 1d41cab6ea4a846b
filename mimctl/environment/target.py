"""Which interpreter is worked on: one order, and the first that is named wins."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from mimctl.environment.installed import Target
from mimctl.errors import MimctlError

_ORDER = "`--python`, `MIMCTL_PYTHON`, an active virtual environment, `./.venv`, mimctl's own environment, conda's"


def find_target(python: Path | None, *, environ: Mapping[str, str], folder: Path, source: str = "--python") -> Target:
    """Return the target interpreter.

    `python` (an interpreter, the folder of an environment, or a name on PATH) > MIMCTL_PYTHON > VIRTUAL_ENV >
    `.venv` in `folder` > the environment mimctl runs in, unless that is a tool's own (pipx, `uv tool`) or closed to
    installers (PEP 668) > CONDA_PREFIX. Raises MimctlError[no-target] where none is left or a named one is not there.
    """
    if python is not None:
        return _named(python, source, environ)
    for variable in ("MIMCTL_PYTHON", "VIRTUAL_ENV"):
        if environ.get(variable):
            return _named(Path(environ[variable]), variable, environ)
    local = _interpreter(folder / ".venv")
    if local is not None:
        return _target(local, "./.venv")
    closed = why_closed()
    if closed is None:
        return Target(python=Path(sys.executable), source="mimctl's own environment", is_own=True)
    if environ.get("CONDA_PREFIX"):
        return _named(Path(environ["CONDA_PREFIX"]), "CONDA_PREFIX", environ)
    raise MimctlError(
        "no environment to work on",
        code="no-target",
        causes=[f"mimctl runs in {closed}", f"looked at {_ORDER}"],
        hints=["make one: `python3 -m venv .venv`, then repeat the command", "or name one: `--python PATH`"],
    )


def site_folders(target: Target) -> list[Path]:
    """Return the folders of installed packages that a target has by the look of it; starts no interpreter."""
    if target.is_own:
        return [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    prefix = target.python.parent.parent
    return [*prefix.glob("lib/python3*/site-packages"), *(target.python.parent.glob("Lib/site-packages"))]


def why_closed() -> str | None:
    """Return why packages do not belong into mimctl's own environment, None where they do."""
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"a tool environment of pipx ({prefix})"
    if (prefix / "uv-receipt.toml").is_file():
        return f"a tool environment of uv ({prefix})"
    if "archive-v0" in prefix.parts or "environments-v2" in prefix.parts:
        return f"a passing environment of uv ({prefix})"
    if sys.prefix == sys.base_prefix and (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").is_file():
        return f"the system's Python ({prefix}), which its package manager keeps for itself"
    return None


def _named(path: Path, source: str, environ: Mapping[str, str]) -> Target:
    found = _interpreter(path)
    if found is None and len(path.parts) == 1:
        import shutil

        on_path = shutil.which(str(path), path=environ.get("PATH"))
        found = Path(on_path) if on_path else None
    if found is None:
        raise MimctlError(
            f"no Python at `{path}`",
            code="no-target",
            causes=[f"named by {source}"],
            hints=["name an interpreter or the folder of an environment: `--python PATH`"],
        )
    return _target(found, source)


def _interpreter(path: Path) -> Path | None:
    """Return the interpreter that `path` is, or that lies in it as an environment."""
    if path.is_dir():
        for name in ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe"):
            if (path / name).is_file():
                return path / name
        return None
    return path if path.is_file() and os.access(path, os.X_OK) else None


def _target(python: Path, source: str) -> Target:
    # Symbolic links stay: they are what makes the Python of a venv.
    python = Path(os.path.abspath(python))  # noqa: PTH100
    return Target(python=python, source=source, is_own=is_own(python))


def is_own(python: Path) -> bool:
    """Return whether `python` starts in the environment that this process runs in."""
    own = Path(sys.executable)
    if python == own:
        return True
    try:
        same_folder = python.parent.samefile(own.parent)
        return same_folder and python.samefile(own)
    except OSError:
        return False
