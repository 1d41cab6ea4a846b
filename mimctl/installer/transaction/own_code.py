"""Hold on to the code that runs while it is replaced on disk: half of one version and half of another must not meet."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterable

_OF_OTHER_PROCESSES = ("mimctl.engine", "mimctl.vision", "mimctl.__main__")
"""What runs in the target's processes, beside torch."""
_OTHERS = (
    "certifi",
    "charset_normalizer",
    "click.shell_completion",
    "idna",
    "packaging.markers",
    "packaging.requirements",
    "packaging.tags",
    "packaging.utils",
    "requests",
    "resolvelib.resolvers",
    "rich.console",
    "rich.live",
    "rich.progress",
    "rich.table",
    "urllib3",
    "yaml",
)
"""What mimctl imports of others when it needs it."""


def hold_own_code() -> None:
    """Import all that this process may still import, before its files are replaced.

    A module that cannot be imported now would not be of use later either.
    """
    packages = ["mimctl"]
    for name in packages:  # grows while it is walked
        inner = list(pkgutil.iter_modules(importlib.import_module(name).__path__, f"{name}."))
        packages += [each.name for each in inner if each.ispkg and each.name not in _OF_OTHER_PROCESSES]
        _import(each.name for each in inner if not each.ispkg and each.name not in _OF_OTHER_PROCESSES)
    _import(_OTHERS)


def _import(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
