"""Experiment configs as data: read, merged, overridden, checked and dumped; nothing in them is ever executed.

What it offers is imported when it is asked for: a table of this room costs no evaluator.
"""

from __future__ import annotations

from mimctl.late_imports import late_imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mimctl.config.checking import check
    from mimctl.config.config import Config
    from mimctl.config.override_text import parse_override
    from mimctl.config.values import ConfigDict, LazyReference

__all__ = ["Config", "ConfigDict", "LazyReference", "check", "parse_override"]

__getattr__, __dir__ = late_imports(
    __name__,
    {
        "Config": "mimctl.config.config",
        "ConfigDict": "mimctl.config.values",
        "LazyReference": "mimctl.config.values",
        "check": "mimctl.config.checking",
        "parse_override": "mimctl.config.override_text",
    },
)
