"""What changes the target environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.machines import facts_for, on_login_node
from mimctl.api.place import index_client, package_places, with_contents
from mimctl.errors import MimctlError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.environment.model import Environment
    from mimctl.installer.model import InstallOptions, InstallPlan, InstallResult
    from mimctl.installer.transaction.recovery import Repair
    from mimctl.installer.uninstall import UninstallPlan, UninstallResult


def repair(*, watch: Watch | None = None, settings: Settings | None = None) -> Repair | None:
    """Bring the target back to what it was before an installation that was killed; None where none was.

    What others have installed since stays. Raises MimctlError[killed-install] where something cannot be brought back,
    [environment-locked] where it may still go on elsewhere.
    """
    from mimctl.installer.prepare import check_writable
    from mimctl.installer.transaction.recovery import repair as bring_back

    facts = _facts(settings)
    check_writable(facts)
    return bring_back(facts, watch.note if watch else (lambda _line: None))


def prepare_install(
    names: Sequence[str],
    options: InstallOptions | None = None,
    *,
    machine: str | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> InstallPlan:
    """Return what `install` would change, with the decision on every candidate; changes nothing, downloads no wheel.

    `machine` is where it is to run: a partition whose nodes were looked at (`look_at`), a file of `mimctl env --json`;
    None is this one. What is named by its place (a folder, a repository) is built, to know what it needs. Raises
    NoCompatibleBuildError where no build fits, UsageError where no index is named, and what detection raises.
    """
    from mimctl.installer.model import InstallOptions
    from mimctl.installer.satisfied import plan_nothing

    settings = settings or settings_module.load()
    options = options or InstallOptions()
    facts, told = facts_for(machine, settings)
    plan = plan_nothing(names, env=facts, options=options) or _prepare(names, options, facts, watch, settings)
    told = told or on_login_node(plan)
    return plan if told is None else replace(plan, notes=(told, *plan.notes))


def _prepare(
    names: Sequence[str], options: InstallOptions, facts: Environment, watch: Watch | None, settings: Settings
) -> InstallPlan:
    from mimctl.installer.asking.requests import gather
    from mimctl.installer.asking.requirements_file import FileContents
    from mimctl.installer.backends.backend import choose_backend
    from mimctl.installer.prepare import prepare_install as prepare

    contents = gather(
        names,
        files=options.requirement_files,
        editables=options.editables,
        constraints=options.constraint_files,
        environ=os.environ,
        transfer=package_places(settings, facts, options).transfer,
    )
    options = with_contents(options, contents)
    contents += FileContents(requires_hashes=options.requires_hashes, builds=options.builds)
    places = package_places(settings, facts, options)
    return prepare(
        names,
        env=facts,
        places=places,
        options=options,
        contents=contents,
        backend=lambda: choose_backend(facts, settings.installer, sources=places.sources, offline=settings.offline),
        note=watch.note if watch else None,
    )


def install(
    names: Sequence[str] | str,
    options: InstallOptions | None = None,
    *,
    plan: InstallPlan | None = None,
    machine: str | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> InstallResult:
    """Install toolboxes into the target environment and return what changed; torch that is there stays as it is.

    `plan` is what `prepare_install` returned, made anew where not given; `machine` is where it is to run (see there).
    On any failure the environment is as before.
    """
    from mimctl.installer.apply import apply
    from mimctl.installer.backends.backend import choose_backend
    from mimctl.installer.record import note_installation

    settings = settings or settings_module.load()
    wanted = [names] if isinstance(names, str) else names
    plan = plan or prepare_install(wanted, options, machine=machine, watch=watch, settings=settings)
    places = package_places(settings, plan.environment, plan.options)
    backend = choose_backend(plan.environment, settings.installer, sources=places.sources, offline=settings.offline)
    note = watch.note if watch else None
    result = apply(
        plan,
        transfer=places.transfer,
        cache_dir=places.cache_dir,
        backend=backend,
        compiles=settings.compile_bytecode,
        step=note,
        note=note,
        progress=watch.progress if watch else None,
    )
    if not plan.nothing_to_do:
        note_installation(plan.environment, plan.verified)
    return result


def prepare_upgrade(
    names: Sequence[str] = (), *, variant: str | None = None, settings: Settings | None = None
) -> InstallPlan:
    """Return what `upgrade` would change; no names stand for all of mimctl's distributions that are installed.

    Raises MimctlError[not-installed] for what is not there, and as `prepare_install` does.
    """
    from mimctl.installer.model import InstallOptions
    from mimctl.installer.state import read_installed
    from mimctl.installer.upgrade import find_upgrade

    settings = settings or settings_module.load()
    facts = _facts(settings)
    request = find_upgrade(names, env=facts, installed=read_installed(facts))
    notes = tuple(f"{name} is installed from a folder or repository and stays" for name in request.from_source)
    if not request.names:
        from mimctl.installer.model import InstallPlan

        return InstallPlan(target=facts.target, environment=facts, requested=(), notes=notes)
    plan = prepare_install(request.names, InstallOptions(upgrade=True, variant=variant), settings=settings)
    return replace(plan, notes=(*plan.notes, *notes))


def upgrade(
    names: Sequence[str] | str = (),
    *,
    plan: InstallPlan | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> InstallResult:
    """Install the newest versions of what is installed: toolboxes, engine and operators share one; torch stays.

    `plan` is what `prepare_upgrade` returned, made anew where not given. On any failure the environment is as before.
    """
    settings = settings or settings_module.load()
    plan = plan or prepare_upgrade([names] if isinstance(names, str) else names, settings=settings)
    return install(plan.requested, plan=plan, watch=watch, settings=settings)


def find_own_upgrade(*, settings: Settings | None = None) -> str | None:
    """Return what to type to bring the command line to the target's version; None where there is nothing to do."""
    from mimctl.installer.upgrade import own_upgrade

    facts = _facts(settings)
    there = facts.distributions.get("mimctl")
    return own_upgrade(facts, there.version if there else None)


def prepare_uninstall(names: Sequence[str], *, settings: Settings | None = None) -> UninstallPlan:
    """Return what `uninstall` would remove; changes nothing and needs no index."""
    from mimctl.installer.uninstall import plan_uninstall

    settings = settings or settings_module.load()
    toolboxes = {}
    if settings.index:
        import contextlib

        with contextlib.suppress(MimctlError):  # names of installed distributions are known without any index
            toolboxes = index_client(settings).toolboxes()
    return plan_uninstall(names, env=_facts(settings), toolboxes=toolboxes)


def uninstall(
    names: Sequence[str] | str,
    *,
    plan: UninstallPlan | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> UninstallResult:
    """Remove toolboxes from the target environment; torch is never removed."""
    from mimctl.installer.backends.backend import choose_backend
    from mimctl.installer.record import note_installation
    from mimctl.installer.uninstall import apply_uninstall

    settings = settings or settings_module.load()
    plan = plan or prepare_uninstall([names] if isinstance(names, str) else names, settings=settings)
    backend = choose_backend(plan.environment, settings.installer, offline=settings.offline)
    result = apply_uninstall(plan, backend=backend, note=watch.note if watch else None)
    if not plan.nothing_to_do:
        note_installation(plan.environment)
    return result


def _facts(settings: Settings | None) -> Environment:
    """Return the facts about the target; where packages come from is not among them."""
    return facts_for(None, settings or settings_module.load())[0]
