"""Why a project's build ended, read off the installer's words, and what to type (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mimctl.errors import MimctlError

_MISSING = re.compile(r"No module named '?([\w.]+)'?|Cannot import '([\w.]+)'")
_BACKENDS = {"setuptools": "setuptools", "hatchling": "hatchling", "flit_core": "flit-core", "poetry": "poetry-core"}
_BACKENDS |= {"pdm": "pdm-backend", "scikit_build_core": "scikit-build-core", "mesonpy": "meson-python"}
_NOT_FOUND = ("No solution found when resolving", "No matching distribution found for", "Could not find a version that")
_NO_PROJECT = ("neither 'setup.py' nor 'pyproject.toml' found", "does not appear to be a Python project")
_NO_COMPILER = ("error: command 'gcc' failed", "error: command 'g++' failed", "CUDA_HOME environment variable is not")


def build_failure(what: str, causes: Sequence[str], text: str) -> MimctlError:
    """Return MimctlError[build-failed] for a build that printed `text`."""
    found = _MISSING.search(text)
    module = (found[1] or found[2]).partition(".")[0] if found else None
    hints = ["nothing was changed"]
    if module in _BACKENDS:
        name = _BACKENDS[module]
        causes = [f"its build needs `{name}`, which is not there", *causes]
        hints = [f"put it into the environment first: `mimctl install {name}`, or build without `--no-build-isolation`"]
    elif module is not None:
        causes = [
            f"its build imports `{module}`, undeclared: an isolated build does not see it",
            *causes,
        ]
        hints = [f"build with what the environment holds, `{module}` among it: add `--no-build-isolation`"]
    elif any(word in text for word in _NOT_FOUND):
        causes = ["what its build requires is not where packages are configured to come from", *causes]
        hints = ["see where that is: `mimctl env`", "build with what the environment holds: `--no-build-isolation`"]
    elif any(word in text for word in _NO_PROJECT):
        causes = ["there is neither a pyproject.toml nor a setup.py", *causes]
    elif any(word in text for word in _NO_COMPILER):
        causes = ["it compiles code, and a compiler or the CUDA toolkit is missing or failed", *causes]
        hints = ["look for a wheel of it instead; of our own operators there are: `mimctl install det`"]
    return MimctlError(f"cannot {what}", code="build-failed", causes=list(causes), hints=hints)
