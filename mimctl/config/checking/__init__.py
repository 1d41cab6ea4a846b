"""Finds the mistakes in a config before any process starts, each with its place and the nearest name.

`check(config, tables)` runs the rules of this package; each of them is a function from a `Case` to mistakes.
"""

from mimctl.config.checking.check import check

__all__ = ["check"]
