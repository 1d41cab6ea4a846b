"""Carry out a plan: fetch and inspect its wheels, let the installer place them, check the result, undo on failure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mimctl.environment.detect import look_again
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, counted
from mimctl.installer.asking.origins import record_origins
from mimctl.installer.backends.backend import Backend
from mimctl.installer.backends.process import Note
from mimctl.installer.model import Change, InstallPlan, InstallResult
from mimctl.installer.operators import OPS_PROJECT, asking_ops, check_operators
from mimctl.installer.staging import stage, written_by
from mimctl.installer.transaction.bytecode import compile_bytecode
from mimctl.installer.transaction.change import check_finished, undone_on_failure
from mimctl.installer.transaction.exclusive import only_one
from mimctl.installer.transaction.in_use import check_unused
from mimctl.installer.transaction.own_code import hold_own_code
from mimctl.installer.transaction.readable import make_readable
from mimctl.installer.verify import check_complete, check_unbroken
from mimctl.resolution.names import PREFIX, is_own
from mimctl.transfer import TransferSettings
from mimctl.transfer.model import FileProgress

Step = Callable[[str], None]
"""Called with one line on what begins now."""


def apply(
    plan: InstallPlan,
    *,
    transfer: TransferSettings,
    cache_dir: Path,
    backend: Backend,
    compiles: bool = False,
    step: Step | None = None,
    note: Note | None = None,
    progress: FileProgress | None = None,
) -> InstallResult:
    """Make the changes of `plan` and return what was found afterwards; `compiles` has modules compiled at once.

    All wheels are in the cache, verified and inspected, before the first change. Raises what `stage` raises, and
    MimctlError[install-failed | build-failed | incomplete-install | torch-changed | ops-cannot-load |
    environment-changed]; after each of them, and after Ctrl-C, the environment is as before. Before anything begins:
    MimctlError[killed-install | library-in-use | environment-locked].
    """
    if plan.nothing_to_do:
        return InstallResult(plan=plan, changes=(), installer="")
    say = step or (lambda _line: None)
    env = plan.environment
    check_finished(env)
    check_unused(env, plan.changes)
    if plan.wheels:
        say(f"fetching {counted(len(plan.wheels), 'wheel')}")
    wheels = stage(plan, transfer=transfer, cache_dir=cache_dir, progress=progress, note=note)
    folders = [each.editable for each in plan.provided if each.editable is not None]
    names = frozenset(change.name for change in plan.changes)
    removed = [change.name for change in plan.changes if change.action == "remove"]
    change = undone_on_failure(
        env,
        changing=names,
        written=written_by(wheels, env),
        what=f"install {' '.join(plan.requested)}",
        installer=backend.label.partition(" ")[0],
    )
    with only_one(env, say), change:
        say(f"changing {counted(len(names), 'distribution')}")
        if PREFIX in names and env.target.is_own:
            hold_own_code()
        if wheels:
            backend.install(wheels, note=note)
            record_origins(wheels, (env.paths.purelib, env.paths.platlib))
        if folders:
            backend.install_editable(folders, is_isolated=plan.options.is_isolated, note=note)
        if removed:
            backend.uninstall(removed, note=note)
        if compiles:
            compile_bytecode(env, names, environ=os.environ)
        make_readable(env, names)
        after = _verified(plan, names, say)
    return InstallResult(plan=plan, changes=_found(plan, after), installer=backend.label)


def _verified(plan: InstallPlan, names: frozenset[str], say: Step) -> Environment:
    """Return what is there now; raise where it is not what was planned, or operators do not load.

    torch is imported for that in a process of the target's own, while the rest is looked at.
    """
    env = plan.environment
    with contextlib.ExitStack() as stack:
        ask = stack.enter_context(asking_ops(env, os.environ)) if OPS_PROJECT in names else None
        say("checking what is there now")
        after = look_again(env, environ=os.environ)
        _check(plan, after)
        if ask is not None:
            say("checking that the operators load")
            check_operators(after, ask)
    return after


def _check(plan: InstallPlan, after: Environment) -> None:
    _check_torch(plan, after)
    before = plan.environment
    without = frozenset({"torch"}) if plan.options.torch == "none" else frozenset()
    requested = {each.partition("[")[0] for each in plan.requested}
    untouched = frozenset(
        name
        for name, each in before.distributions.items()
        if after.distributions.get(name) == each and not is_own(name) and name not in requested
    )
    brought = (change.name for change in plan.changes if change.action != "remove")
    check_complete(after, dict.fromkeys([*plan.requested, *brought]), without=without, untouched=untouched)
    check_unbroken(before, after)


def _check_torch(plan: InstallPlan, after: Environment) -> None:
    before = plan.environment.torch.value
    there = after.torch.value
    wanted = before.version if before else plan.torch.version if plan.torch else None
    if wanted is not None and (there is None or there.version != wanted):
        raise MimctlError(
            f"torch is {there.version if there else 'missing'} after the installation, {wanted} was to be there",
            code="torch-changed",
            hints=["the environment is as it was before"],
        )
    tag = plan.torch.tag if plan.torch else None
    if there is not None and tag is not None and tag.startswith("cu") and there.cuda_major != int(tag[2:4]):
        raise MimctlError(
            f"torch {there.version} is a build for {there.cuda or 'the CPU'}, {tag} was to be there",
            code="torch-changed",
            hints=["choose the build by name: `--torch cpu`, `--torch cu126`, …"],
        )


def _found(plan: InstallPlan, after: Environment) -> tuple[Change, ...]:
    """Return the changes with the versions that are there now."""
    there = after.distributions
    return tuple(
        replace(change, version=there[change.name].version if change.name in there else change.version)
        for change in plan.changes
    )
