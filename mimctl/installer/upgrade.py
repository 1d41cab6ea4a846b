"""What an upgrade is asked for: our distributions all together, for they share one version, and what else is named."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mimctl
from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.environment.target import why_closed
from mimctl.errors import MimctlError, UsageError, nearest
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES
from mimctl.resolution.model import Present
from mimctl.resolution.names import PREFIX, TORCH_FAMILY, is_own


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeRequest:
    """Names to install in their newest versions, and what was left out."""

    names: tuple[str, ...]
    from_source: tuple[str, ...] = ()
    """Ours, installed from a folder or a repository: whoever keeps it upgrades it there."""


def find_upgrade(names: Sequence[str], *, env: Environment, installed: Mapping[str, Present]) -> UpgradeRequest:
    """Return what upgrading `names` means; none stands for all of ours. Pure.

    One of ours brings the others along: engine, operators and toolboxes share one version. Raises
    MimctlError[not-installed] for what is not there, MimctlError[torch-kept] for torch, UsageError for a specifier.
    """
    found = [_distribution(name, env) for name in names]
    if not names and not installed:
        raise MimctlError(
            "nothing that mimctl upgrades is installed",
            code="not-installed",
            causes=[f"looked in {env.paths.prefix}"],
            hints=["install a toolbox: `mimctl install det`"],
        )
    ours = sorted(installed) if not names or any(map(is_own, found)) else []
    from_source = tuple(name for name in ours if installed[name].is_from_source)
    wanted = dict.fromkeys([*(name for name in ours if name not in from_source), *found])
    return UpgradeRequest(
        names=tuple(name for name in wanted if name not in from_source),
        from_source=from_source,
    )


def _distribution(name: str, env: Environment) -> str:
    plain = normalise(name)
    if not plain.replace("-", "").isalnum():
        raise UsageError(
            f"`{name}` is not a name",
            hints=[f"a certain version, address or folder is installed: `mimctl install '{name}'`"],
        )
    if plain in TORCH_FAMILY:
        raise MimctlError(
            f"mimctl never upgrades {plain}",
            code="torch-kept",
            hints=[f"do it yourself: `python -m pip install --upgrade {plain}`, then `mimctl doctor`"],
        )
    candidates = (plain, f"{PREFIX}-{OPENMMLAB_NAMES.get(plain, plain)}")
    there = next((each for each in candidates if each in env.distributions), None)
    if there is None:
        near = nearest(plain, {each.removeprefix(f"{PREFIX}-") for each in env.distributions}, most=1)
        raise MimctlError(
            f"`{name}` is not installed",
            code="not-installed",
            causes=[f"looked in {env.paths.prefix}"],
            hints=[*(f"did you mean `{each}`?" for each in near), f"install it: `mimctl install {name}`"],
        )
    return there


def own_upgrade(env: Environment, version_there: str | None) -> str | None:
    """Return how the command line itself is upgraded, None where it lives in the target or is of its version."""
    if env.target.is_own or version_there in (None, mimctl.__version__):
        return None
    closed = why_closed() or ""
    if "of pipx" in closed:
        return f"pipx upgrade {PREFIX}"
    if "tool environment of uv" in closed:
        return f"uv tool upgrade {PREFIX}"
    return f"{Path(sys.executable)} -m pip install --upgrade {PREFIX}"
