"""Remove what was named, and only that; torch never."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mimctl.environment.detect import describe
from mimctl.environment.distributions import normalise, read_metadata
from mimctl.environment.installed import Target
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.model import Toolbox
from mimctl.installer.asking.toolbox_names import find_toolbox
from mimctl.installer.backends.backend import Backend
from mimctl.installer.backends.process import Note
from mimctl.installer.model import Change
from mimctl.installer.prepare import check_writable
from mimctl.installer.transaction.change import check_finished, undone_on_failure
from mimctl.installer.transaction.exclusive import only_one
from mimctl.installer.transaction.in_use import check_unused
from mimctl.resolution.names import TORCH_FAMILY, is_own
from mimctl.resolution.requirements import marker_environment, requirements_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallPlan:
    """The distributions that will be removed."""

    target: Target
    environment: Environment
    changes: tuple[Change, ...] = ()
    not_installed: tuple[str, ...] = ()

    @property
    def nothing_to_do(self) -> bool:
        """Return whether nothing of what was named is installed."""
        return not self.changes


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallResult:
    """What was removed."""

    plan: UninstallPlan
    changes: tuple[Change, ...]
    installer: str


def plan_uninstall(names: Sequence[str], *, env: Environment, toolboxes: Mapping[str, Toolbox]) -> UninstallPlan:
    """Return the plan to remove `names` (toolboxes, aliases, distributions); works with no index (empty `toolboxes`).

    Raises MimctlError[torch-kept] for torch, [still-needed] where another of our distributions that stays requires one,
    [killed-install] where what is there is half of something.
    """
    check_finished(env)
    found = tuple(dict.fromkeys(_distribution(name, env, toolboxes) for name in names))
    if kept := sorted(TORCH_FAMILY.intersection(found)):
        raise MimctlError(
            f"mimctl never removes {', '.join(kept)}",
            code="torch-kept",
            hints=[f"do it yourself: `python -m pip uninstall {' '.join(kept)}`"],
        )
    there = tuple(name for name in found if name in env.distributions)
    _check_unneeded(there, env)
    return UninstallPlan(
        target=env.target,
        environment=env,
        changes=tuple(
            Change(action="remove", name=name, previous=env.distributions[name].version, reason="you asked for it")
            for name in there
        ),
        not_installed=tuple(name for name in found if name not in env.distributions),
    )


def apply_uninstall(plan: UninstallPlan, *, backend: Backend, note: Note | None = None) -> UninstallResult:
    """Remove what the plan names; where that fails the environment is as before.

    Raises MimctlError[install-failed], and before anything begins [killed-install | library-in-use |
    environment-locked | environment-changed].
    """
    if plan.nothing_to_do:
        return UninstallResult(plan=plan, changes=(), installer="")
    check_writable(plan.environment)
    check_finished(plan.environment)
    check_unused(plan.environment, plan.changes)
    names = [change.name for change in plan.changes]
    say = note or (lambda _line: None)
    change = undone_on_failure(
        plan.environment,
        changing=frozenset(names),
        what=f"uninstall {' '.join(names)}",
        installer=backend.label.partition(" ")[0],
    )
    with only_one(plan.environment, say), change:
        backend.uninstall(names, note=note)
        left = sorted(set(names) & set(describe(plan.target, environ=os.environ).distributions))
        if left:
            raise MimctlError(
                f"{', '.join(left)} is still there",
                code="install-failed",
                hints=["the environment is as it was before"],
            )
    return UninstallResult(plan=plan, changes=plan.changes, installer=backend.label)


def _distribution(name: str, env: Environment, toolboxes: Mapping[str, Toolbox]) -> str:
    plain = normalise(name)
    toolbox = find_toolbox(plain, toolboxes)
    if toolbox is not None:
        return normalise(toolbox.distribution)
    return plain if plain in env.distributions or f"mimctl-{plain}" not in env.distributions else f"mimctl-{plain}"


def _check_unneeded(names: Sequence[str], env: Environment) -> None:
    markers = marker_environment(env)
    causes: list[str] = []
    for other in env.distributions.values():
        if other.name in names or not is_own(other.name):
            continue
        declared = read_metadata(other).get("requires-dist", [])
        needed = {normalise(each.requirement.name) for each in requirements_of(declared, "", markers, by=other.name)}
        causes.extend(f"{other.name} requires {name}" for name in names if name in needed)
    if causes:
        raise MimctlError(
            f"{', '.join(names)} is still needed",
            code="still-needed",
            causes=sorted(causes),
            hints=["remove them together: `mimctl uninstall NAME NAME …`"],
        )
