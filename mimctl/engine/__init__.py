"""The engine that all toolboxes share: registry, runner, hooks, data, evaluation, checkpoints. It knows no task.

The names that people know from MMEngine are imported from here, each at its first use.
"""

from __future__ import annotations

from mimctl.names import ENGINE

__all__ = sorted(ENGINE)


def __getattr__(name: str) -> object:
    if name not in ENGINE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(ENGINE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *ENGINE})
