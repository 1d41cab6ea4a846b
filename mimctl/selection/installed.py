"""Judge the operators that are installed by the rules that choose among those of an index."""

from __future__ import annotations

from collections.abc import Sequence

from mimctl.environment.installed import Ops
from mimctl.environment.model import Environment
from mimctl.index.model import Build, IndexFile
from mimctl.selection.order import public_version
from mimctl.selection.rules import Wish, fits_backend, fits_driver, fits_gpu, fits_torch
from mimctl.selection.warnings import other_cuda

_RULES = (fits_torch, fits_backend, fits_driver, fits_gpu)


def why_unfit(env: Environment) -> str | None:
    """Return why the installed operators do not suit `env`, None where they do or none are known."""
    installed = _as_file(env.ops.value)
    if installed is None:
        return None
    reasons = (rule(env, installed, Wish()) for rule in _RULES)
    return next((reason for reason in reasons if reason is not None), None)


def why_second_best(env: Environment) -> str | None:
    """Return what speaks for another build than the installed one though it serves: torch's own CUDA major."""
    installed, torch = _as_file(env.ops.value), env.torch.value
    return None if installed is None or torch is None else other_cuda(installed.build, torch)


def _as_file(ops: Ops | None) -> IndexFile | None:
    """Return the installed operators as a file of an index would be, None where none are known."""
    if ops is None or ops.backend is None:
        return None
    build = Build(
        backend=ops.backend,
        min_torch=ops.min_torch,
        max_torch=ops.max_torch,
        min_driver=ops.min_driver,
        archs=ops.archs,
        ptx=ops.ptx,
        toolkit=ops.toolkit,
    )
    return IndexFile(
        project="mimctl-ops",
        filename="",
        url="",
        sha256="",
        size=None,
        version=ops.version or "",
        tags=(),
        build=build,
    )


def builds_to_choose_from(env: Environment, candidates: Sequence[IndexFile]) -> tuple[IndexFile, ...]:
    """Return the builds of the installed version, of every version where none is known to be installed."""
    ops = env.ops.value
    if ops is None or ops.version is None:
        return tuple(candidates)
    version = public_version(ops.version)
    return tuple(file for file in candidates if public_version(file.version) == version)


def is_installed(env: Environment, file: IndexFile) -> bool:
    """Return whether the installed operators are the build `file`, whatever its label."""
    ops = env.ops.value
    if ops is None or ops.version is None or file.build is None:
        return False
    return (public_version(ops.version), ops.backend) == (public_version(file.version), file.build.backend)
