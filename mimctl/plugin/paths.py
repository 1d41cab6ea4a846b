"""Where an interpreter looks for modules: our own is read off `sys.path`, another one is asked."""

from __future__ import annotations

import sys
from pathlib import Path

from mimctl.errors import MimctlError

_QUESTION = "import json, sys; print(json.dumps(sys.path))"


def import_paths(python: Path | None) -> tuple[Path, ...]:
    """Return the import path of `python` (None: the interpreter that runs mimctl), without the current folder.

    Raises MimctlError[python-unusable] where it does not answer.
    """
    entries = _own() if python is None else _ask(python)
    return tuple(Path(entry) for entry in dict.fromkeys(entries) if entry and not entry.endswith(".zip"))


def _own() -> list[str]:
    # `python -m` puts the current folder first and a console script its own; a child started with -P has neither.
    return sys.path if sys.flags.safe_path else sys.path[1:]


def _ask(python: Path) -> list[str]:
    import json
    import subprocess

    try:
        answer = subprocess.run(
            [str(python), "-P", "-c", _QUESTION], capture_output=True, text=True, timeout=60, check=True
        )
        entries = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as err:
        raise MimctlError(
            f"`{python}` does not work as a Python interpreter",
            code="python-unusable",
            causes=[str(err)],
            hints=["name another: `--python PATH`"],
        ) from err
    return [str(entry) for entry in entries]
