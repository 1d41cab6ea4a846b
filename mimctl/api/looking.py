"""What there is: facts, toolboxes, settings, what a check-up finds."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import find_target
from mimctl.errors import MimctlError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.checkup.glance import Finding
    from mimctl.checkup.model import Report
    from mimctl.environment.installed import Distribution, Fact, Target
    from mimctl.environment.model import Environment, PackageSetting
    from mimctl.installer.transaction.change import Unfinished
    from mimctl.plugin.discover import BrokenPlugin, Plugin
    from mimctl.plugin.mim import BrokenMimPackage, MimPackage


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPackage:
    """A package that follows mim's convention, and why it cannot work where it is; without reasons it can."""

    package: MimPackage | BrokenMimPackage
    summary: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The toolboxes of a target environment, and what is wrong with it as far as names and small files tell."""

    target: Target
    plugins: tuple[Plugin | BrokenPlugin, ...] = ()
    packages: tuple[ListedPackage, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    """All that is installed, where it was asked for."""
    findings: tuple[Finding, ...] = ()


def env(*, settings: Settings | None = None) -> Environment:
    """Detect the facts about the target environment, each with its source; torch is not imported."""
    from mimctl.environment.detect import describe

    settings = settings or settings_module.load()
    found = describe(find_target(settings), environ=os.environ, asks_nvcc=True)
    return replace(found, indexes=_configured_indexes(settings, found.paths.prefix))


def _configured_indexes(settings: Settings, prefix: Path) -> Fact[tuple[PackageSetting, ...]]:
    from mimctl.environment.installed import Fact
    from mimctl.environment.model import PackageSetting
    from mimctl.index.pip_files import read_pip
    from mimctl.index.uv_files import read_uv
    from mimctl.transfer import redact

    own = [
        PackageSetting(tool="mimctl", key="index", value=redact(each), source=str(settings.origin("index")))
        for each in settings.index
    ]
    try:
        configured = [*read_pip(os.environ, prefix=prefix), *read_uv(os.environ)]
    except MimctlError as err:
        return Fact(value=tuple(own), source=f"{err.message}: {'; '.join(err.causes)}")
    others = [
        PackageSetting(tool=each.tool, key=each.key, value=each.shown, source=str(each.origin)) for each in configured
    ]
    source = "mimctl's settings, and pip's and uv's files and variables"
    return Fact(value=(*own, *others), source=source if own or others else f"nothing in {source}")


def doctor(*, settings: Settings | None = None) -> Report:
    """Look over the target environment: each check with what it found, why, and what to type; nothing is changed.

    The compiled operators are loaded in a process of the target's own. Raises nothing for what it finds.
    """
    from mimctl.checkup.checkup import check_up

    return check_up(settings or settings_module.load(), environ=os.environ, folder=Path.cwd())


def find_unfinished(*, settings: Settings | None = None) -> Unfinished | None:
    """Return the installation into the target that was killed and not repaired; None where none was, or one goes on.

    Looks at a few names only, and starts no interpreter.
    """
    from mimctl.environment.target import site_folders

    folders = site_folders(find_target(settings or settings_module.load()))
    if not any((folder.parent / ".mimctl-transaction").is_dir() for folder in folders):
        return None
    from mimctl.installer.transaction.change import find_unfinished as find

    found = find(folders)
    return None if found is None or found.is_alive else found


def list_package(everything: bool = False, *, settings: Settings | None = None) -> Listing:
    """Return the toolboxes of the target environment and its packages that follow mim's convention, sorted by name.

    Broken ones come with the reason, packages that cannot work beside this torch too; with `everything` also all
    distributions that are installed.
    """
    from mimctl.checkup.glance import glance
    from mimctl.plugin.discover import discover
    from mimctl.plugin.paths import import_paths

    settings = settings or settings_module.load()
    target = find_target(settings)
    paths = import_paths(None if target.is_own else target.python)
    findings = glance(paths, environ=os.environ, machine=os.uname().machine)
    plugins = tuple(discover(paths))
    return Listing(
        target=target,
        plugins=plugins,
        packages=_packages(paths),
        distributions=_distributions(paths) if everything else (),
        findings=(*findings, *_stale_types(plugins, settings)),
    )


def _stale_types(plugins: Sequence[Plugin | BrokenPlugin], settings: Settings) -> list[Finding]:
    """Return what is wrong with the tables of types of toolboxes that are edited in place.

    A table that no source file is newer than is not looked into: listing stays cheap, a run compares in any case.
    """
    from mimctl.plugin.edited import may_be_stale

    edited = [each for each in plugins if may_be_stale(each)]
    if not edited:
        return []
    from mimctl.checkup.glance import Finding
    from mimctl.launch.experiments.type_tables import read_table, what_to_type
    from mimctl.plugin.discover import Plugin

    found = []
    for each in edited:
        assert isinstance(each, Plugin)
        read = read_table(each.package_dir, is_edited=True, cache_dir=settings.cache_dir)
        if read.problem is not None:
            summary, hint = f"toolbox `{each.name}`: {read.problem}", what_to_type(each, read)
            found.append(Finding(name=each.distribution, summary=summary, hint=hint, code="stale-types"))
    return found


def find_useless(env: Environment, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return those of the packages of `env` that bear one of `names` and cannot work there → what they lack."""
    listed = [each for each in _packages(env.paths.search) if each.package.name in names]
    return {each.package.name: each.reasons for each in listed if each.reasons}


def _packages(paths: Sequence[Path]) -> tuple[ListedPackage, ...]:
    from mimctl.plugin.mim import MimPackage, find_packages

    found = find_packages(paths)
    if not found:
        return ()
    from mimctl.launch.toolbox import lacks_of, surroundings
    from mimctl.plugin.mim_needs import read_summary

    place = surroundings(paths)
    return tuple(
        ListedPackage(
            package=each,
            summary=read_summary(each),
            reasons=tuple(lack.reason for lack in lacks_of(each, place)),
        )
        if isinstance(each, MimPackage)
        else ListedPackage(package=each, reasons=(each.reason,))
        for each in found
    )


def _distributions(paths: Sequence[Path]) -> tuple[Distribution, ...]:
    from mimctl.environment.distributions import scan

    found = scan(paths)
    return tuple(found[name] for name in sorted(found))


def show_settings(*, settings: Settings | None = None) -> Settings:
    """Return all settings of mimctl, each with its origin."""
    return settings or settings_module.load()
