"""Carry out a plan: fetch and verify our wheels, let the installer work, check the result, undo on failure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mimctl.environment.detect import describe
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.client import IndexClient
from mimctl.installer.backend import Backend
from mimctl.installer.exclusive import only_one
from mimctl.installer.model import Change, InstallPlan, InstallResult
from mimctl.installer.names import is_own
from mimctl.installer.plan import TORCH_FAMILY, firm_constraints
from mimctl.installer.process import Note, is_conflict
from mimctl.installer.transaction import undone_on_failure
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
    NetworkError, MimctlError[install-failed | incomplete-install | torch-changed | environment-changed]; after each of
    them, and after Ctrl-C, the environment is as before.
    """
    if plan.nothing_to_do:
        return InstallResult(plan=plan, changes=(), installer="")
    say = step or (lambda _line: None)
    wheels = []
    for file in plan.wheels:
        say(f"fetching {file.filename}")
        wheels.append(client.fetch(file, progress=progress))
    with only_one(plan.environment, say), undone_on_failure(plan.environment, kept=TORCH_FAMILY):
        for requirements, extra_index in _calls(plan):
            say(f"installing {', '.join(requirements)}")
            _install(requirements, plan, extra_index=extra_index, backend=backend, say=say, note=note)
        if wheels:
            say(f"installing {', '.join(wheel.name for wheel in wheels)}")
            backend.install_wheels(wheels, note=note)
        after = describe(plan.target, environ=os.environ)
        _check(plan, after)
    return InstallResult(plan=plan, changes=_found(plan, after), installer=backend.label)


def _install(
    requirements: tuple[str, ...],
    plan: InstallPlan,
    *,
    extra_index: str | None,
    backend: Backend,
    say: Step,
    note: Note | None,
) -> None:
    """Install requirements so that nothing else changes; where that cannot be, so that torch does not."""
    firm = firm_constraints(plan)
    with tempfile.TemporaryDirectory(prefix="mimctl-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join({*plan.constraints, *firm}), encoding="utf-8")
        try:
            backend.install_requirements(requirements, constraints=constraints, extra_index=extra_index, note=note)
        except MimctlError as err:
            if not is_conflict(err):
                raise
            say("something that is there is too old for this: letting the installer upgrade what it must, torch stays")
            constraints.write_text("\n".join(firm), encoding="utf-8")
            backend.install_requirements(requirements, constraints=constraints, extra_index=extra_index, note=note)


def _calls(plan: InstallPlan) -> list[tuple[tuple[str, ...], str | None]]:
    """Return the requirements of each call of the installer, and the index that is added to the user's own for it."""
    if plan.torch is None:
        return [(plan.third_party, None)] if plan.third_party else []
    torch = (plan.torch.requirement,)
    if plan.torch.index_url is None:
        return [((*torch, *plan.third_party), None)]
    return [(torch, plan.torch.index_url), *([(plan.third_party, None)] if plan.third_party else [])]


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
