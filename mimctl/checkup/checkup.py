"""Gather the facts of an environment, and run every check on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mimctl.checkup import checks, torch_checks
from mimctl.checkup.gather import gather
from mimctl.checkup.model import Check, Facts, Report
from mimctl.checkup.operators import operators
from mimctl.environment.detect import describe
from mimctl.environment.target import find_target
from mimctl.errors import MimctlError
from mimctl.settings import Settings

CHECKS: Sequence[Callable[[Facts], Check | None]] = (
    checks.target,
    checks.own_version,
    checks.versions,
    torch_checks.torch_there,
    torch_checks.torch_replaced,
    torch_checks.accelerator,
    torch_checks.torch_verified,
    operators,
    checks.toolboxes,
    checks.requirements,
    checks.opencv,
    checks.hidden_packages,
    checks.killed_install,
    checks.index,
)
"""In the order in which they are told; one that has nothing to look at returns None."""


def check_up(settings: Settings, *, environ: Mapping[str, str], folder: Path) -> Report:
    """Return what every check finds; nothing is changed, and nothing but the index is asked for over the network.

    `folder` is where the person stands. An environment that cannot be looked into at all is one failed check.
    """
    try:
        source = str(settings.origin("python"))
        found = find_target(settings.python, environ=environ, folder=folder, source=source)
        env = describe(found, environ=environ)
    except MimctlError as err:
        return Report(target=None, checks=(_failed("target", err),))
    facts = gather(env, settings, environ=environ, folder=folder)
    told = [check(facts) for check in CHECKS]
    return Report(target=found, checks=tuple(each for each in told if each is not None))


def _failed(name: str, error: MimctlError) -> Check:
    return Check(
        name=name, status="fail", summary=error.message, code=error.code, causes=error.causes, hints=error.hints
    )
