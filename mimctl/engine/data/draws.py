"""Marks that MMCV's transforms put on the methods that draw random numbers.

TransformBroadcaster shares what is drawn by rewinding the generators, so the marks change nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", bound=type)
F = TypeVar("F", bound=Callable[..., object])


def cache_randomness(func: F) -> F:
    """Return the method as it is."""
    return func


def avoid_cache_randomness(cls: T) -> T:
    """Return the class as it is."""
    return cls
