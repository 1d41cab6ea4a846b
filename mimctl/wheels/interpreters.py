"""Finds Python interpreters of this machine by version: on the PATH, and those that pyenv, uv and manylinux keep."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"


def find_interpreter(version: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return an interpreter of a version such as "3.12" that can make virtual environments, None where there is none.

    Each is started to ask it: a name alone may be a shim that leads nowhere.
    """
    seen = set()
    for path in _candidates(version, environ):
        real = path.resolve()
        if real not in seen and path.is_file() and _answers(path, version):
            return path
        seen.add(real)
    return None


def _candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    yield Path(sys.executable)
    name, home = f"python{version}", Path(environ.get("HOME") or Path.home())
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder) or shutil.which("python3", path=folder)
        if found:
            yield Path(found)
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    number = version.replace(".", "")
    yield from sorted(pyenv.glob(f"{version}*/bin/{name}"), reverse=True)
    yield from sorted(uv.glob(f"cpython-{version}*/bin/{name}"), reverse=True)
    yield Path(f"/opt/python/cp{number}-cp{number}/bin/python")


def _answers(path: Path, version: str) -> bool:
    try:
        done = subprocess.run([str(path), "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version
