"""What is gathered for a check-up, and what a check says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mimctl.environment.installed import Target
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.model import Index
from mimctl.installer.operators import OpsAnswer
from mimctl.installer.transaction.change import Unfinished
from mimctl.plugin.discover import BrokenPlugin, Plugin

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What `doctor --fix` does about a check, in the words of the installer: removed first, then installed."""

    remove: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    reinstall: tuple[str, ...] = ()
    """Placed anew though the same version is there."""
    upgrades: bool = False
    """All of ours are brought to the newest version together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one check found; `causes` say why, `hints` what to type, `code` which page `mimctl explain` has on it."""

    name: str
    status: Status
    summary: str
    code: str | None = None
    causes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    fix: Fix | None = None
    """None where nothing that mimctl does would mend it: torch, drivers and indexes are the person's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The checks of one environment in their order; `target` is None where none was found."""

    target: Target | None
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Return whether no check fails; warnings are allowed."""
        return all(each.status != "fail" for each in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the checks look at."""

    env: Environment
    torch_index: str
    """Address of torch's wheel index, for commands to type."""
    mimctl_there: str | None
    """Version of the mimctl that the target would import, None where it has none."""
    plugins: tuple[Plugin | BrokenPlugin, ...] = ()
    unmet: tuple[str, ...] = ()
    """Requirements of our own distributions that the target does not satisfy, one a line."""
    index: Index | None = None
    index_problem: MimctlError | None = None
    """Why the index could not be read, or why only what was last seen of it is known."""
    ops: OpsAnswer | None = None
    """None where there is no torch or no mimctl-ops to ask."""
    hidden: tuple[tuple[str, Path, Path], ...] = ()
    """(module, what hides it, what is hidden)."""
    torch_since: str | None = None
    """How torch has changed since mimctl installed what is there."""
    other_platform: str | None = None
    """For what machine the operators' wheel was built where that is not this one."""
    needs_opencv: tuple[str, ...] = ()
    """Which distributions of OpenCV others require by name."""
    unfinished: Unfinished | MimctlError | None = None
    """The installation that goes on or was killed, or why its journal cannot be read."""
