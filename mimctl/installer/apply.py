"""Carry out a plan: fetch and verify our wheels, let the installer work, check the result, undo on failure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mimctl.environment.detect import describe
from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.client import IndexClient
from mimctl.installer.backend import Backend, Expect
from mimctl.installer.exclusive import only_one
from mimctl.installer.in_use import check_unused
from mimctl.installer.model import Change, InstallPlan, InstallResult
from mimctl.installer.names import is_own
from mimctl.installer.operators import OPS_PROJECT, check_operators
from mimctl.installer.plan import TORCH_FAMILY, firm_constraints
from mimctl.installer.process import Note, is_conflict
from mimctl.installer.transaction import check_finished, undone_on_failure
from mimctl.installer.verify import check_complete
from mimctl.transfer import Progress

Step = Callable[[str], None]
"""Called with one line on what begins now."""


def apply(
    plan: InstallPlan,
    *,
    client: IndexClient,
    backend: Backend,
    step: Step | None = None,
    note: Note | None = None,
    progress: Progress | None = None,
) -> InstallResult:
    """Make the changes of `plan` and return what was found afterwards.

    All our wheels are in the cache, verified, before the first change. Raises IntegrityError[hash-mismatch],
    NetworkError, MimctlError[install-failed | incomplete-install | torch-changed | ops-cannot-load |
    environment-changed]; after each of them, and after Ctrl-C, the environment is as before. Before anything begins:
    MimctlError[killed-install | library-in-use | environment-locked].
    """
    if plan.nothing_to_do:
        return InstallResult(plan=plan, changes=(), installer="")
    say = step or (lambda _line: None)
    check_finished(plan.environment)
    check_unused(plan.environment, plan.changes)
    wheels = []
    for file in plan.wheels:
        say(f"fetching {file.filename}")
        wheels.append(client.fetch(file, progress=progress))
    change = undone_on_failure(
        plan.environment,
        kept=TORCH_FAMILY,
        what=f"install {' '.join(plan.requested)}",
        installer=backend.label.partition(" ")[0],
        asked=_asked(plan),
    )
    with only_one(plan.environment, say), change as expect:
        for requirements, extra_index in _calls(plan):
            say(f"installing {', '.join(requirements)}")
            calls = _Calls(backend=backend, extra_index=extra_index, say=say, note=note, expect=expect)
            _install(requirements, plan, calls)
        if wheels:
            say(f"installing {', '.join(wheel.name for wheel in wheels)}")
            backend.install_wheels(wheels, note=note)
        after = describe(plan.target, environ=os.environ)
        _check(plan, after)
        if any(change.name == OPS_PROJECT for change in plan.changes):
            say("checking that the operators load")
            check_operators(after)
    return InstallResult(plan=plan, changes=_found(plan, after), installer=backend.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """How the installer is called, and who hears of it."""

    backend: Backend
    extra_index: str | None
    say: Step
    note: Note | None
    expect: Expect

    def install(self, requirements: tuple[str, ...], constraints: Path) -> None:
        self.backend.install_requirements(
            requirements, constraints=constraints, extra_index=self.extra_index, note=self.note, expect=self.expect
        )


def _install(requirements: tuple[str, ...], plan: InstallPlan, calls: _Calls) -> None:
    """Install requirements so that nothing else changes; where that cannot be, so that torch does not."""
    firm = firm_constraints(plan)
    with tempfile.TemporaryDirectory(prefix="mimctl-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join({*plan.constraints, *firm}), encoding="utf-8")
        try:
            calls.install(requirements, constraints)
        except MimctlError as err:
            if not is_conflict(err):
                raise
            calls.say(
                "something that is there is too old for this: letting the installer upgrade what it must, torch stays"
            )
            constraints.write_text("\n".join(firm), encoding="utf-8")
            calls.install(requirements, constraints)


def _calls(plan: InstallPlan) -> list[tuple[tuple[str, ...], str | None]]:
    """Return the requirements of each call of the installer, and the index that is added to the user's own for it."""
    if plan.torch is None:
        return [(plan.third_party, None)] if plan.third_party else []
    torch = (plan.torch.requirement,)
    if plan.torch.index_url is None:
        return [((*torch, *plan.third_party), None)]
    return [(torch, plan.torch.index_url), *([(plan.third_party, None)] if plan.third_party else [])]


def _asked(plan: InstallPlan) -> set[str]:
    """Return the names that the installer is given; what else comes is what these require."""
    from packaging.requirements import Requirement

    requirements = [text for group, _ in _calls(plan) for text in group]
    wheels = [file.project for file in plan.wheels]
    return {normalise(name) for name in (*(Requirement(text).name for text in requirements), *wheels)}


def _check(plan: InstallPlan, after: Environment) -> None:
    before = plan.environment.torch.value
    there = after.torch.value
    wanted = before.version if before else plan.torch.version if plan.torch else None
    if wanted is not None and (there is None or there.version != wanted):
        raise MimctlError(
            f"torch is {there.version if there else 'missing'} after the installation, {wanted} was to be there",
            code="torch-changed",
            causes=["the installer did not keep to the constraints"],
            hints=["the environment is as it was before"],
        )
    tag = plan.torch.tag if plan.torch else None
    if there is not None and tag is not None and tag.startswith("cu") and there.cuda_major != int(tag[2:4]):
        raise MimctlError(
            f"torch {there.version} is a build for {there.cuda or 'the CPU'}, {tag} was to be there",
            code="torch-changed",
            hints=["choose the build by name: `--torch cpu`, `--torch cu126`, …"],
        )
    without = frozenset({"torch"}) if plan.options.torch == "none" else frozenset()
    untouched = frozenset(
        name
        for name, each in plan.environment.distributions.items()
        if after.distributions.get(name) == each and not is_own(name)
    )
    check_complete(after, plan.requested, without=without, untouched=untouched)


def _found(plan: InstallPlan, after: Environment) -> tuple[Change, ...]:
    """Return the changes with the versions that are there now, and those that only the installer knew of."""
    before = plan.environment.distributions
    planned = {change.name: change for change in plan.changes}
    changes = []
    for name, change in planned.items():
        now = after.distributions.get(name)
        changes.append(replace(change, version=now.version if now else change.version))
    for name, now in sorted(after.distributions.items()):
        was = before.get(name)
        if name in planned or (was is not None and was.version == now.version):
            continue
        changes.append(
            Change(
                action="upgrade" if was else "install",
                name=name,
                version=now.version,
                previous=was.version if was else None,
                source="pip's configuration",
                reason="required by the above",
            )
        )
    return tuple(changes)
