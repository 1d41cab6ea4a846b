"""Experiment configs as data: read, merged, overridden, checked and dumped; nothing in them is ever executed."""

from mimctl.config.checking import check
from mimctl.config.config import Config
from mimctl.config.override_text import parse_override
from mimctl.config.values import ConfigDict, LazyReference

__all__ = ["Config", "ConfigDict", "LazyReference", "check", "parse_override"]
