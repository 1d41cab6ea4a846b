"""Read what the checks look at: files of the target, its own word on its operators, the index where it can be read."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mimctl.checkup.glance import OPS, other_platform, torch_since
from mimctl.checkup.model import Facts
from mimctl.environment.distributions import normalise, read_metadata, wheel_tags
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, NetworkError
from mimctl.index.client import IndexClient
from mimctl.index.model import Index
from mimctl.installer.operators import ask_ops
from mimctl.installer.record import read_record
from mimctl.installer.transaction.change import Unfinished, find_unfinished
from mimctl.installer.verify import missing_requirements
from mimctl.plugin.discover import discover, find_package
from mimctl.resolution.names import CV2_NAMES, is_own
from mimctl.resolution.requirements import marker_environment, requirements_of
from mimctl.settings import Settings
from mimctl.zoo.way import transfer_settings

_INDEX_TIMEOUT_S = 5.0
_VERSION = re.compile(r"""^__version__\s*(?::[^=\n]*)?=\s*["']([^"'\n]+)["']""", re.MULTILINE)


def gather(env: Environment, settings: Settings, *, environ: Mapping[str, str], folder: Path) -> Facts:
    """Return the facts on one environment; `folder` is where the person stands."""
    index, index_problem = read_index(settings)
    own = [name for name in env.distributions if is_own(name)]
    return Facts(
        env=env,
        torch_index=settings.torch_index,
        mimctl_there=importable_mimctl(env),
        plugins=tuple(discover(env.paths.search)),
        unmet=_unmet(env, own),
        index=index,
        index_problem=index_problem,
        ops=ask_ops(env, environ) if env.ops.value is not None and env.torch.value is not None else None,
        torch_since=torch_since(read_record(env.paths.search), env.torch.value, env.distributions),
        other_platform=other_platform(wheel_tags(env.distributions.get(OPS)), env.platform.value.machine),
        needs_opencv=_needs_opencv(env),
        hidden=tuple(hidden_packages(env, own, folder)),
        unfinished=_unfinished(env),
    )


def read_index(settings: Settings) -> tuple[Index | None, MimctlError | None]:
    """Return the configured index and what is wrong with it; what was last seen of it where it does not answer."""
    timeout_s = min(settings.http_timeout_s, _INDEX_TIMEOUT_S)
    transfer = replace(transfer_settings(settings), timeout_s=timeout_s, retries=0)
    try:
        return IndexClient(settings.index, transfer, settings.cache_dir).load(), None
    except NetworkError as err:
        problem: MimctlError = err
    except MimctlError as err:
        return None, err
    try:
        return IndexClient(settings.index, replace(transfer, offline=True), settings.cache_dir).load(), problem
    except MimctlError:
        return None, problem


def importable_mimctl(env: Environment) -> str | None:
    """Return the version of the mimctl that the target would import, None where it has none."""
    package = find_package("mimctl", env.paths.search)
    if package is not None:
        try:
            found = _VERSION.search((package / "__init__.py").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            found = None
        if found:
            return found[1]
    installed = env.distributions.get("mimctl")
    return installed.version if installed else None


def _needs_opencv(env: Environment) -> tuple[str, ...]:
    """Return the distributions of OpenCV that are there and that others require; read only where there are several."""
    there = CV2_NAMES & env.distributions.keys()
    if len(there) < 2:
        return ()
    markers = marker_environment(env)
    needed: set[str] = set()
    for each in env.distributions.values():
        if each.name in there:
            continue
        with contextlib.suppress(MimctlError):  # metadata that nobody can read
            declared = read_metadata(each).get("requires-dist", [])
            names = {normalise(one.requirement.name) for one in requirements_of(declared, "", markers, by=each.name)}
            needed |= names & there
    return tuple(sorted(needed))


def _unfinished(env: Environment) -> Unfinished | MimctlError | None:
    try:
        return find_unfinished([env.paths.purelib])
    except MimctlError as err:
        return err


def _unmet(env: Environment, own: Sequence[str]) -> tuple[str, ...]:
    """Return the requirements of our distributions that do not hold; what others need is theirs."""
    others = frozenset(env.distributions) - frozenset(own)
    try:
        return tuple(missing_requirements(env, own, untouched=others))
    except MimctlError as err:
        return (f"{err.message}: {', '.join(err.causes)}",)
    except ValueError as err:  # a folder that is named like a distribution and is none
        return (str(err).splitlines()[0],)


def hidden_packages(env: Environment, own: Sequence[str], folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield (module, what hides it, what is hidden): by an entry of the search path, or by `folder` for who starts
    Python there."""
    for name in ("torch", *own):
        distribution = env.distributions.get(name)
        module = name.replace("-", "_")
        found = find_package(module, env.paths.search)
        if distribution is None or found is None:
            continue
        installed = distribution.path.parent / module
        if (installed / "__init__.py").is_file() and not _is_same(installed, found):
            yield module, found, installed
        here = [folder / module / "__init__.py", folder / f"{module}.py"]
        hiding = next((each for each in here if each.is_file() and not _is_same(each, found / "__init__.py")), None)
        if hiding is not None:
            yield module, hiding if hiding.name != "__init__.py" else hiding.parent, found


def _is_same(first: Path, second: Path) -> bool:
    try:
        return os.path.samefile(first, second)  # noqa: PTH121
    except OSError:
        return False
