"""Gather the facts and make a plan of them: the edge around the pure resolver and planner."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.model import InstallOptions, InstallPlan
from mimctl.installer.satisfied import plan_nothing
from mimctl.installer.transaction.change import check_finished
from mimctl.resolution.model import Catalog

if TYPE_CHECKING:
    from mimctl.index.client import IndexClient
    from mimctl.index.model import Index
    from mimctl.index.sources import PackageSources
    from mimctl.installer.asking.requests import Requests
    from mimctl.installer.asking.requirements_file import FileContents
    from mimctl.installer.backends.backend import Backend
    from mimctl.installer.backends.process import Note
    from mimctl.resolution.catalog import IndexCatalog, Strategy
    from mimctl.resolution.model import Installed, Project, ResolveOptions
    from mimctl.selection.torch_build import TorchBuild
    from mimctl.transfer import TransferSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where distributions come from, and how that is reached."""

    client: IndexClient
    """Of mimctl's indexes."""
    sources: PackageSources
    """Of pip's and uv's configuration."""
    transfer: TransferSettings
    cache_dir: Path
    torch_index: str = ""
    strategy: Strategy = "first"


class RefreshableCatalog(Catalog, Protocol):
    """A catalog that may have read pages a little while ago."""

    def refresh(self) -> bool:
        """Forget answers that could be older than what is there now; return whether there was any."""


def prepare_install(
    names: Sequence[str],
    *,
    env: Environment,
    places: Places,
    options: InstallOptions | None = None,
    contents: FileContents | None = None,
    backend: Callable[[], Backend] | None = None,
    note: Note | None = None,
) -> InstallPlan:
    """Return the plan for `names`; reads indexes if anything is to do, changes nothing, downloads no wheel.

    `contents` is all that the command line and the files on it ask for (see `gather`), where it is more than names;
    `backend` builds what is named by its place. Raises what `read_requests` and `resolve` raise, and
    MimctlError[closed-environment | no-permission] where the plan could not be carried out, [killed-install] where what
    is there is half of something.
    """
    options = options or InstallOptions()
    plan = plan_nothing(names, env=env, options=options) if contents is None else None
    if plan is not None:
        return plan
    check_finished(env)
    from mimctl.installer.asking.provide import Workshop
    from mimctl.installer.asking.requests import read_requests
    from mimctl.installer.asking.requirements_file import FileContents, Line
    from mimctl.installer.asking.source_files import choose_source
    from mimctl.installer.backends.backend import choose_backend
    from mimctl.installer.state import InstalledIn

    index = load_index(places)
    workshop = Workshop(
        env=env,
        backend=backend() if backend else choose_backend(env),
        transfer=places.transfer,
        cache_dir=places.cache_dir,
        is_isolated=options.is_isolated,
        note=note,
    )
    opened = functools.cache(functools.partial(open_catalog, env, places))

    def project(name: str) -> Project:
        return opened(torch_to_join(env, index, options)).project(name)

    requests = read_requests(
        contents or FileContents(lines=tuple(Line(text=name) for name in names)),
        index=index,
        installed=env.distributions,
        is_served=lambda name: bool((found := project(name)).files or found.sdists),
        provider=workshop,
        find_source=lambda name, specifier: choose_source(
            project(name), specifier, python=env.python.value, pre=options.pre
        ),
    )
    return plan_requests(
        requests, env=env, catalog_for=opened, index=index, installed=InstalledIn(env), options=options
    )


def plan_requests(
    requests: Requests,
    *,
    env: Environment,
    catalog_for: Callable[[TorchBuild | None], RefreshableCatalog],
    index: Index,
    installed: Installed,
    options: InstallOptions,
) -> InstallPlan:
    """Return the plan for requests; `catalog_for` opens the catalog, given the torch that joins where there is none.

    Where there is no answer with what caches say of pages, it is looked for once more with what their servers say now.
    Raises as `prepare_install` does.
    """
    from mimctl.installer.asking.requests import check_hashed
    from mimctl.installer.plan import make_plan
    from mimctl.resolution.resolve import resolve

    torch = torch_to_join(env, index, _with_pinned_torch(options, requests, env))
    catalog, choices = catalog_for(torch), _choices(requests, index, torch, options)
    find = functools.partial(
        resolve,
        requests.wanted,
        env=env,
        catalog=catalog,
        installed=installed,
        provided=requests.provided,
        options=choices,
    )
    try:
        resolution = find()
    except MimctlError:
        if not catalog.refresh():
            raise
        resolution = find()
    check_hashed(requests, resolution)
    plan = make_plan(resolution, requests.wanted, env=env, installed=installed, torch=torch, options=options)
    if not plan.nothing_to_do:
        check_writable(env)
    return replace(plan, notes=(*requests.notes, *plan.notes), verified=index.torch_verified)


def open_catalog(env: Environment, places: Places, torch: TorchBuild | None) -> IndexCatalog:
    """Return the catalog for one environment; `torch` is what joins where there is none."""
    from mimctl.resolution.catalog import IndexCatalog

    return IndexCatalog(
        client=places.client,
        sources=places.sources,
        transfer=places.transfer,
        cache_dir=places.cache_dir,
        torch_index=places.torch_index,
        torch=_torch_there(env) or torch,
        env=env,
        strategy=places.strategy,
    )


def load_index(places: Places) -> Index:
    """Return what mimctl's indexes say; nothing where none is named (what needs one says so)."""
    from mimctl.index.model import Index

    return places.client.load() if places.client.addresses else Index(addresses=())


def torch_to_join(env: Environment, index: Index, options: InstallOptions) -> TorchBuild | None:
    """Return the build of torch that wheels are chosen for where none is installed; None where one is, or nobody
    says which.

    Raises MimctlError[torch-present] where another one was asked for than is there, and as `choose_torch` does.
    """
    from mimctl.selection.torch_build import choose_torch

    there = env.torch.value
    if there is None:
        # With `none` it is left to the person; wheels are chosen for the usual one.
        wish = "auto" if options.torch == "none" else options.torch
        says_nothing = index.torch_verified is None and set(index.addresses) == set(index.plain)
        if says_nothing and not wish[:1].isdigit():
            return None
        return choose_torch(env, wish, verified=_verified(index, wish))
    if options.torch in ("auto", "none", there.label, there.version, there.version.partition("+")[0]):
        return None
    raise MimctlError(
        f"torch {there.version} is installed, `--torch {options.torch}` asks for another",
        code="torch-present",
        causes=[f"found in {env.torch.source}", "mimctl never replaces a torch that is there"],
        hints=["remove it first: `python -m pip uninstall torch`", "or keep it: leave `--torch` out"],
    )


def check_writable(env: Environment) -> None:
    """Raise where packages cannot or may not be written to the target."""
    if env.paths.externally_managed and not env.paths.is_virtual:
        raise MimctlError(
            f"`{env.target.python}` belongs to the system",
            code="closed-environment",
            causes=["its package manager keeps it for itself (PEP 668)", f"named by {env.target.source}"],
            hints=["make an environment: `python3 -m venv .venv`, then repeat the command"],
        )
    folders = (env.paths.purelib, env.paths.purelib.parent)
    folder = next((each for each in folders if each.is_dir() and not os.access(each, os.W_OK)), None)
    if folder is not None:
        raise MimctlError(
            f"no permission to write to `{folder}`",
            code="no-permission",
            causes=[f"the environment of `{env.target.python}`, named by {env.target.source}"],
            hints=["work in an environment of your own: `python3 -m venv .venv`"],
        )


def _with_pinned_torch(options: InstallOptions, requests: Requests, env: Environment) -> InstallOptions:
    """Return the options with the version of torch that is asked for by name, where none is there."""
    if env.torch.value is not None or options.torch == "none" or options.torch[:1].isdigit():
        return options
    tag = "" if options.torch == "auto" else f"+{options.torch}"
    for each in requests.wanted:
        for part in each.requirement.specifier if each.requirement.name == "torch" else ():
            if part.operator in ("==", "===") and not part.version.endswith(".*"):
                return replace(options, torch=part.version if "+" in part.version else f"{part.version}{tag}")
    return options


def _choices(requests: Requests, index: Index, torch: TorchBuild | None, options: InstallOptions) -> ResolveOptions:
    from mimctl.resolution.model import ResolveOptions

    named = frozenset(each.requirement.name for each in requests.wanted)
    return ResolveOptions(
        variant=options.variant,
        upgrade=named if options.upgrade else frozenset(),
        upgrade_all=options.upgrade_all,
        reinstall=named if options.reinstall else frozenset(),
        verified=index.torch_verified,
        pre=options.pre,
        torch=torch,
        leaves_torch_out=options.torch == "none",
        constraints=requests.constraints,
        hashes=requests.hashes,
        typed=requests.typed,
    )


def _torch_there(env: Environment) -> TorchBuild | None:
    from mimctl.selection.torch_build import TorchBuild

    there = env.torch.value
    if there is None:
        return None
    version, _, label = there.version.partition("+")
    return TorchBuild(version=version, tag=label or None, reason="it is installed")


def _verified(index: Index, wish: str) -> str:
    if wish[:1].isdigit():
        return wish.partition("+")[0]
    if index.torch_verified is None:
        raise MimctlError(
            "the index does not say which torch it was verified with",
            code="bad-index",
            hints=["name a version: `--torch 2.13.0`", "or build the index again with `--matrix wheels-matrix.yaml`"],
        )
    return index.torch_default or index.torch_verified
