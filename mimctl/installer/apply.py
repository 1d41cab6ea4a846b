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
from mimctl.installer.model import Change, InstallPlan, InstallResult
from mimctl.installer.names import is_own
from mimctl.installer.process import Note
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
    NetworkError, MimctlError[install-failed | incomplete-install | torch-changed]; after each of them, and after
    Ctrl-C, the environment is as before.
    """
    if plan.nothing_to_do:
        return InstallResult(plan=plan, changes=(), installer="")
    say = step or (lambda _line: None)
    wheels = []
    for file in plan.wheels:
        say(f"fetching {file.filename}")
        wheels.append(client.fetch(file, progress=progress))
    replaced = [change.name for change in plan.changes if change.previous is not None]
    with tempfile.TemporaryDirectory(prefix="mimctl-") as folder, undone_on_failure(plan.environment, replaced):
        constraints = Path(folder) / "constraints.txt"
        pins = (*plan.constraints, *([plan.torch.requirement] if plan.torch else []))
        constraints.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
        for requirements, extra_index in _calls(plan):
            say(f"installing {', '.join(requirements)}")
            backend.install_requirements(requirements, constraints=constraints, extra_index=extra_index, note=note)
        if wheels:
            say(f"installing {', '.join(wheel.name for wheel in wheels)}")
            backend.install_wheels(wheels, note=note)
        after = describe(plan.target, environ=os.environ)
        _check(plan, after)
    return InstallResult(plan=plan, changes=_found(plan, after), installer=backend.label)


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
    wanted = before.version if before else plan.torch.requirement.partition("==")[2] if plan.torch else None
    if wanted is not None and (there is None or there.version != wanted):
        raise MimctlError(
            f"torch is {there.version if there else 'missing'} after the installation, {wanted} was to be there",
            code="torch-changed",
            causes=["the installer did not keep to the constraints"],
            hints=["the environment is as it was before"],
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
