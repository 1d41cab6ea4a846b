"""Gather the facts and make a plan of them: the edge around the pure planner."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.client import IndexClient
from mimctl.installer.backend import Backend
from mimctl.installer.model import InstallOptions, InstallPlan
from mimctl.installer.plan import located, make_plan
from mimctl.installer.state import read_installed
from mimctl.installer.torch_source import locate_torch
from mimctl.installer.transaction import check_finished
from mimctl.transfer import TransferSettings


def prepare_install(
    names: Sequence[str],
    *,
    env: Environment,
    client: IndexClient,
    backend: Backend,
    torch_index: str,
    options: InstallOptions | None = None,
    transfer: TransferSettings | None = None,
) -> InstallPlan:
    """Return the plan for `names`, torch located; reads indexes, changes nothing, downloads no wheel.

    Raises what `make_plan` and `locate_torch` raise, and MimctlError[closed-environment | no-permission] where the
    plan could not be carried out, [killed-install] where what is there is half of something.
    """
    check_finished(env)
    plan = make_plan(names, env=env, index=client.load(), installed=read_installed(env), options=options)
    if plan.nothing_to_do:
        return plan
    check_writable(env)
    if plan.torch is None:
        return plan
    settings = transfer or TransferSettings()
    torch = locate_torch(plan.torch, env, backend=backend, torch_index=torch_index, transfer=settings)
    return located(plan, torch)


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
