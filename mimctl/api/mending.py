"""What `doctor --fix` mends: each failed check says what it takes, and the installer does it, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mimctl import settings as settings_module
from mimctl.api.installing import (
    install,
    prepare_install,
    prepare_uninstall,
    prepare_upgrade,
    uninstall,
)
from mimctl.api.looking import env
from mimctl.errors import MimctlError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.checkup.model import Report
    from mimctl.installer.model import Change, InstallPlan
    from mimctl.installer.uninstall import UninstallPlan

Kind = Literal["remove", "reinstall", "install", "upgrade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of the environment that mends checks; `names` is empty for an upgrade of all that is ours."""

    kind: Kind
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What became of a step: what it changes or has changed, or why it could not."""

    step: Step
    changes: tuple[Change, ...] = ()
    error: MimctlError | None = None


def find_steps(report: Report) -> tuple[Step, ...]:
    """Return what mends the checks of a report, in the order in which it has to be done; pure."""
    fixes = [each.fix for each in report.checks if each.fix is not None]
    reinstall = dict.fromkeys(name for fix in fixes for name in fix.reinstall)
    wanted = {
        "remove": dict.fromkeys(name for fix in fixes for name in fix.remove),
        "reinstall": reinstall,
        "install": dict.fromkeys(name for fix in fixes for name in fix.install if name not in reinstall),
    }
    kinds: tuple[Kind, ...] = ("remove", "reinstall", "install")
    steps = [Step(kind=kind, names=tuple(wanted[kind])) for kind in kinds if wanted[kind]]
    if any(fix.upgrades for fix in fixes):  # brings what is missing along
        steps = [*(each for each in steps if each.kind != "install"), Step(kind="upgrade")]
    return tuple(steps)


def preview(steps: tuple[Step, ...], *, settings: Settings | None = None) -> tuple[Mended, ...]:
    """Return what steps would change as the environment is now; changes nothing."""
    settings = settings or settings_module.load()
    found = []
    for step in steps:
        try:
            found.append(Mended(step=step, changes=_prepare(step, None, settings).changes))
        except MimctlError as err:
            found.append(Mended(step=step, error=err))
    return tuple(found)


def mend(report: Report, *, watch: Watch | None = None, settings: Settings | None = None) -> tuple[Mended, ...]:
    """Mend what a report says can be mended; a step that fails leaves the environment as it was before that step.

    torch is never changed; that it is meant to be the one that is there is noted.
    """
    from mimctl.installer.record import note_installation

    settings = settings or settings_module.load()
    done = tuple(_take(step, watch, settings) for step in find_steps(report))
    if report.target is not None and all(each.error is None for each in done):
        note_installation(env(settings=settings))
    return done


def _prepare(step: Step, watch: Watch | None, settings: Settings) -> InstallPlan | UninstallPlan:
    from mimctl.installer.model import InstallOptions

    if step.kind == "remove":
        return prepare_uninstall(step.names, settings=settings)
    if step.kind == "upgrade":
        return prepare_upgrade(settings=settings)
    options = InstallOptions(reinstall=step.kind == "reinstall")
    return prepare_install(step.names, options, watch=watch, settings=settings)


def _take(step: Step, watch: Watch | None, settings: Settings) -> Mended:
    from mimctl.installer.uninstall import UninstallPlan

    try:
        plan = _prepare(step, watch, settings)
        if isinstance(plan, UninstallPlan):
            return Mended(step=step, changes=uninstall((), plan=plan, watch=watch, settings=settings).changes)
        return Mended(step=step, changes=install((), plan=plan, watch=watch, settings=settings).changes)
    except MimctlError as err:
        return Mended(step=step, error=err)
