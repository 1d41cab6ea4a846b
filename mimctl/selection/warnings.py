"""What a fitting build is taken with: facts that a person would want to know though nothing stands against it."""

from __future__ import annotations

from mimctl.environment.installed import Torch, release_of
from mimctl.environment.model import Environment
from mimctl.index.model import Build, IndexFile
from mimctl.selection.order import parse_version, public_version


def why_warn(env: Environment, file: IndexFile, *, verified: str | None) -> str | None:
    """Return what is to be said of a build that fits `env`, None where nothing is."""
    build, torch = file.build, env.torch.value
    if build is None:
        return None
    found = [newer_than_verified(env, verified)]
    if torch is not None and build.is_compiled:
        found += [_unfinished_torch(build, torch), other_cuda(build, torch), _without_code(env, build, torch)]
    return "; ".join(each for each in found if each is not None) or None


def newer_than_verified(env: Environment, verified: str | None) -> str | None:
    """Return the warning where `env` has a newer torch than the newest that builds were verified with, else None."""
    torch = env.torch.value
    if torch is None or verified is None:
        return None
    own, newest = parse_version(public_version(torch.version)), parse_version(public_version(verified))
    if own is None or newest is None or own <= newest:
        return None
    return f"torch {torch.version} is newer than {verified}, the newest that the index was verified with"


def other_cuda(build: Build | None, torch: Torch) -> str | None:
    """Return the warning where a build is for another CUDA major than torch, else None."""
    if build is None or build.cuda_major is None or torch.cuda_major in (None, build.cuda_major):
        return None
    return (
        f"built for CUDA {build.cuda_major}, torch is built for CUDA {torch.cuda}: "
        "both run on this driver, and nobody has tried them together"
    )


def _unfinished_torch(build: Build, torch: Torch) -> str | None:
    """A pre-release of the oldest torch that a build works with may have been made before what the build needs."""
    own = parse_version(torch.version)
    floor = release_of(build.min_torch or "")
    if own is None or not own.is_prerelease or not floor or torch.release[: len(floor)] != floor:
        return None
    return f"torch {torch.version} was made before torch {build.min_torch}, the oldest that the build works with"


def _without_code(env: Environment, build: Build, torch: Torch) -> str | None:
    """The operators of a build compute in pure PyTorch, more slowly, on a device that it has no code for."""
    if env.accelerator.value.kind == "mps":
        return "no Metal code: on `mps` the operators compute in pure PyTorch, more slowly"
    if torch.backend != "cpu" and build.backend == "cpu":
        name = {"cuda": "CUDA", "rocm": "ROCm"}.get(torch.backend, "XPU")
        return f"no {name} code: on a GPU the operators compute in pure PyTorch, more slowly"
    return None
