"""What porting looks for and what it finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Where a name lives now: `from module import name`."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Change:
    """Source text replaced by other text; `start` and `end` are offsets in characters."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """An old name that stays, because nothing takes its place or only a person can tell what does."""

    line: int
    name: str
    reason: str
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something to know about a line that needs no change, or got one that should be looked at."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """An old name that was replaced."""

    line: int
    old: str
    new: str


@dataclass(slots=True, kw_only=True)
class Findings:
    """What porting one file comes to, collected on the way."""

    changes: list[Change]
    moved: list[Moved]
    left: list[Left]
    notes: list[Note]
