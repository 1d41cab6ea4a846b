"""Finds the mistakes in a config before any process starts, each with its place and the nearest name.

`check(config, tables)` runs the rules of this package; each of them is a function from a `Case` to mistakes.
`raise_all` makes one error of what was found.
"""

from mimctl.config.checking.check import check
from mimctl.config.checking.report import raise_all

__all__ = ["check", "raise_all"]
