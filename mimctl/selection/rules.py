"""The rules a candidate wheel must pass: each a small predicate that returns None, or the reason it does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from mimctl.environment.installed import Torch, release_of
from mimctl.environment.model import Environment
from mimctl.index.model import Build, IndexFile
from mimctl.selection.cuda import (
    MIN_DRIVERS,
    driver_floor,
    has_machine_code,
    has_ptx,
    is_at_least,
    ptx_driver,
    relevant_gpus,
)
from mimctl.selection.tags import is_for_platform, tag_ranks, why_tags_do_not_fit

TORCH_FAMILY = frozenset({"torch", "torchvision", "torchaudio"})
"""Projects whose wheels of one version differ by their local label alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for besides fitting: a variant by its backend's name, and what else the index has."""

    variant: str | None = None
    has_compiled: bool = False
    """Whether any candidate is a compiled build for this platform, fitting or not."""
    takes_yanked: bool = False
    """Whether a withdrawn file may be taken: somebody named exactly its version (PEP 592)."""


Rule = Callable[[Environment, IndexFile, Wish], str | None]


def not_yanked(_env: Environment, file: IndexFile, wish: Wish) -> str | None:
    """Reject a file that the index has withdrawn."""
    return f"yanked: {file.yanked}" if file.yanked and not wish.takes_yanked else None


def fits_variant(_env: Environment, file: IndexFile, wish: Wish) -> str | None:
    """Reject every other build where one was asked for by name."""
    if wish.variant is None or file.build is None or file.build.backend == wish.variant:
        return None
    return f"`--variant {wish.variant}` was asked for"


def fits_tags(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a wheel for another platform, C library or Python."""
    ranks = tag_ranks(env)
    return None if any(tag in ranks for tag in file.tags) else why_tags_do_not_fit(env, file.tags)


def fits_python(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a wheel whose Requires-Python leaves the target out.

    One that cannot be read (`>=3.6.*` was once allowed) rejects builds of ours alone, as other installers ignore it.
    """
    if file.requires_python is None:
        return None
    fits = _contains(file.requires_python, env.python.value)
    if fits is None:
        return f"its Requires-Python cannot be read: {file.requires_python}" if file.build is not None else None
    return None if fits else f"needs Python {file.requires_python}, found {env.python.value}"


def fits_torch(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a build for a newer or older torch than there is."""
    build, torch = file.build, env.torch.value
    if build is None:
        return None
    if torch is None:
        return "torch is not installed"
    if build.min_torch and torch.release < release_of(build.min_torch):
        return f"needs torch >= {build.min_torch}, found {torch.version}"
    if build.max_torch:
        newest = release_of(build.max_torch)
        if torch.release[: len(newest)] > newest:
            return f"works up to torch {build.max_torch}, found {torch.version}"
    return None


def fits_label(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a wheel of torch's family that was built for another accelerator, or CUDA major, than torch."""
    torch = env.torch.value
    if file.build is not None or torch is None or file.project not in TORCH_FAMILY:
        return None
    backend, major = accelerator_of(file.version.partition("+")[2])
    if backend is None or (backend == torch.backend and (major is None or major == torch.cuda_major)):
        return None
    return f"built for {_words(backend, major)}, torch is built for {_torch_words(torch)}"


def fits_backend(env: Environment, file: IndexFile, wish: Wish) -> str | None:
    """Reject compiled code that cannot compute where torch does.

    A CUDA build holds the CPU code too and loads into a CPU build of torch; into one for another CUDA major where the
    driver is known to be new enough for both (docs/explanation/selection.md). A CPU build is taken with a CUDA build of
    torch only where the machine has no GPU driver, or where it was asked for.
    """
    build, torch = file.build, env.torch.value
    if build is None or torch is None or not build.is_compiled or wish.variant == build.backend == "cpu":
        return None
    if build.backend in _ONLY_THEIR_OWN or torch.backend in _ONLY_THEIR_OWN:
        return _own_kind_only(build, torch)
    if build.cuda_major is not None:
        return _other_cuda(env, build, torch)
    if torch.backend == "cuda" and env.accelerator.value.kind == "cuda":
        return f"no CUDA code, torch is a CUDA {torch.cuda} build and this machine has a GPU driver"
    return None


def fits_driver(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a CUDA build that this machine's driver is too old for; without any driver its GPU code is never used."""
    build = file.build
    driver = env.accelerator.value.driver
    if build is None or driver is None or not computes_on_cuda(env, build):
        return None
    floor = driver_floor(build)
    if floor is not None and not is_at_least(driver, floor):
        return f"needs NVIDIA driver >= {floor}, found {driver}"
    return None


def fits_gpu(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a CUDA build that has neither machine code nor usable PTX for one of the GPUs."""
    build = file.build
    if build is None or not (build.archs or build.ptx) or not computes_on_cuda(env, build):
        return None
    driver, newest = env.accelerator.value.driver, ptx_driver(build)
    for gpu in relevant_gpus(env):
        capability = release_of(gpu.capability)
        if has_machine_code(build, capability):
            continue
        shown = f"compute capability {gpu.capability} ({gpu.name})"
        if not has_ptx(build, capability):
            has = ", ".join(build.archs) or "none"
            ptx = f", PTX {', '.join(build.ptx)}" if build.ptx else ""
            return f"no code for {shown}; it has {has}{ptx}"
        if driver is not None and newest is not None and not is_at_least(driver, newest):
            tool = f"CUDA {build.toolkit}" if build.toolkit else "its toolkit"
            return f"only PTX for {shown}, which {tool} needs NVIDIA driver >= {newest} to compile, found {driver}"
    return None


def is_last_resort(_env: Environment, file: IndexFile, wish: Wish) -> str | None:
    """Reject the pure-PyTorch build where the index has a compiled one for this platform, unless it was asked for."""
    if file.build is None or file.build.is_compiled or wish.variant == file.build.backend or not wish.has_compiled:
        return None
    return "compiled builds exist for this platform; ask for this one with `--variant python`"


RULES: tuple[Rule, ...] = (
    not_yanked,
    fits_variant,
    fits_tags,
    fits_python,
    fits_torch,
    fits_label,
    fits_backend,
    fits_driver,
    fits_gpu,
    is_last_resort,
)


def is_compiled_here(env: Environment, file: IndexFile) -> bool:
    """Return whether a file is a compiled build for this platform, of whatever version of its C library."""
    build = file.build
    return (
        build is not None
        and build.is_compiled
        and file.yanked is None
        and any(is_for_platform(tag, env) for tag in file.tags)
    )


def computes_on_cuda(env: Environment, build: Build) -> bool:
    """Return whether the GPU code of a build would be used here."""
    torch = env.torch.value
    return (
        build.cuda_major is not None
        and torch is not None
        and torch.backend == "cuda"
        and env.accelerator.value.kind == "cuda"
    )


def accelerator_of(label: str) -> tuple[str | None, int | None]:
    """Return backend and CUDA major that a local label in torch's manner names: `cu130` → ("cuda", 13)."""
    if label in ("cpu", "xpu"):
        return label, None
    if label.startswith("rocm"):
        return "rocm", None
    match = re.fullmatch(r"cu(\d\d)\d", label)
    return ("cuda", int(match[1])) if match else (None, None)


_ONLY_THEIR_OWN = {"rocm": "ROCm", "xpu": "XPU"}


def _own_kind_only(build: Build, torch: Torch) -> str | None:
    if build.backend == torch.backend:
        return None
    if build.backend in _ONLY_THEIR_OWN:
        return f"built for {_ONLY_THEIR_OWN[build.backend]}, torch is built for {_torch_words(torch)}"
    name = _ONLY_THEIR_OWN[torch.backend]
    return f"no {name} code, torch is built for {name} ({torch.version})"


def _other_cuda(env: Environment, build: Build, torch: Torch) -> str | None:
    floor, own = driver_floor(build), MIN_DRIVERS.get(torch.cuda_major or 0)
    if torch.cuda_major in (None, build.cuda_major) or floor is None or env.accelerator.value.driver is not None:
        return None
    if own is not None and is_at_least(own, floor):
        return None
    return (
        f"built for CUDA {build.cuda_major}, torch is built for CUDA {torch.cuda}, "
        f"and no NVIDIA driver here says whether it is >= {floor}"
    )


def _words(backend: str, major: int | None) -> str:
    known = {"cuda": f"CUDA {major}" if major else "CUDA", "rocm": "ROCm", "xpu": "XPU"}
    return known.get(backend, "the CPU")


def _torch_words(torch: Torch) -> str:
    return f"CUDA {torch.cuda}" if torch.backend == "cuda" else _words(torch.backend, None)


@lru_cache(maxsize=4096)
def _contains(specifier: str, python: str) -> bool | None:
    """Return whether a Requires-Python takes a Python, None where it cannot be read."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(specifier).contains(python, prereleases=True)
    except InvalidSpecifier:
        return None
