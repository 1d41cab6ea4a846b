"""Experiment configs as data: read, merged, overridden, checked and dumped; nothing in them is ever executed.

What it offers is imported when it is asked for: a table of this room costs no evaluator.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mimctl.config.checking import check
    from mimctl.config.config import Config
    from mimctl.config.override_text import parse_override
    from mimctl.config.values import ConfigDict, LazyReference

_PLACES = {
    "Config": "config",
    "ConfigDict": "values",
    "LazyReference": "values",
    "check": "checking",
    "parse_override": "override_text",
}

__all__ = ["Config", "ConfigDict", "LazyReference", "check", "parse_override"]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
