"""What two toolboxes need of vision: layers, backbones, necks, losses, structures, transforms, drawing.

The names that people know from MMCV are imported from here, each at its first use.
"""

from __future__ import annotations

from mimctl.names import VISION

__all__ = sorted(VISION)


def __getattr__(name: str) -> object:
    if name not in VISION:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(VISION[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *VISION})
