"""The rules a candidate wheel must pass: each a small predicate that returns None, or the reason it does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mimctl.environment.model import Environment, release_of
from mimctl.index.model import Build, IndexFile
from mimctl.selection.tags import is_for_platform, supported_tags, wheel_platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for besides fitting: a variant by its backend's name, and what else the index has."""

    variant: str | None = None
    has_compiled: bool = False
    """Whether any candidate is a compiled build for this platform, fitting or not."""


Rule = Callable[[Environment, IndexFile, Wish], str | None]


def not_yanked(_env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a file that the index has withdrawn."""
    return f"yanked: {file.yanked}" if file.yanked else None


def fits_variant(_env: Environment, file: IndexFile, wish: Wish) -> str | None:
    """Reject every other build where one was asked for by name."""
    if wish.variant is None or file.build is None or file.build.backend == wish.variant:
        return None
    return f"`--variant {wish.variant}` was asked for"


def fits_tags(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a wheel for another platform, C library or Python."""
    if not set(file.tags).isdisjoint(supported_tags(env)):
        return None
    near = [tag for tag in file.tags if wheel_platform(tag).system == "any" or is_for_platform(tag, env)]
    if not near:
        platforms = sorted({str(wheel_platform(tag)) for tag in file.tags})
        libc = env.libc.value
        return f"built for {', '.join(platforms)}, this is {env.platform.value}" + (f" ({libc.family})" if libc else "")
    needed = [wheel_platform(tag).libc for tag in near]
    libc = env.libc.value
    if libc is not None and all(each is not None and each.version > libc.version for each in needed):
        least = min((each for each in needed if each is not None), key=lambda each: each.version)
        return (
            f"needs {least.family} >= {least.version[0]}.{least.version[1]}, found {libc.version[0]}.{libc.version[1]}"
        )
    pythons = sorted({"-".join(tag.split("-")[:2]) for tag in near})
    return f"built for {', '.join(pythons)}, this Python takes {env.interpreter_tag.rpartition('-')[0]}"


def fits_python(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a wheel whose Requires-Python leaves the target out."""
    if file.requires_python is None:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(file.requires_python).contains(env.python.value, prereleases=True)
    except InvalidSpecifier:
        return f"its Requires-Python cannot be read: {file.requires_python}"
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


def fits_backend(env: Environment, file: IndexFile, wish: Wish) -> str | None:
    """Reject compiled code for another backend than torch's own.

    A CUDA build holds the CPU code too and loads into a CPU build of torch. A CPU build is taken with a CUDA build of
    torch only where the machine has no GPU driver, or where it was asked for.
    """
    build, torch = file.build, env.torch.value
    if build is None or torch is None or not build.is_compiled or wish.variant == build.backend == "cpu":
        return None
    has = "CPU" if torch.backend == "cpu" else f"CUDA {torch.cuda}" if torch.backend == "cuda" else "ROCm"
    if build.backend == "rocm":
        return None if torch.backend == "rocm" else f"built for ROCm, torch is a {has} build"
    if torch.backend == "rocm":
        return f"no ROCm code, torch is a ROCm build ({torch.version})"
    if build.cuda_major is not None:
        mismatch = torch.cuda_major is not None and torch.cuda_major != build.cuda_major
        return f"built for CUDA {build.cuda_major}, torch is built for CUDA {torch.cuda}" if mismatch else None
    if torch.backend == "cuda" and env.accelerator.value.kind == "cuda":
        return f"no CUDA code, torch is a {has} build and this machine has a GPU driver"
    return None


def fits_driver(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a CUDA build that this machine's driver is too old for; without any driver its GPU code is never used."""
    build = file.build
    driver = env.accelerator.value.driver
    if build is None or not build.min_driver or not _computes_on_cuda(env, build) or driver is None:
        return None
    if release_of(driver) < release_of(build.min_driver):
        return f"needs NVIDIA driver >= {build.min_driver}, found {driver}"
    return None


def fits_gpu(env: Environment, file: IndexFile, _wish: Wish) -> str | None:
    """Reject a CUDA build that has neither machine code nor PTX for one of the GPUs.

    Machine code runs on GPUs of the same major and an equal or greater minor number; PTX on all later ones.
    """
    build = file.build
    if build is None or not (build.archs or build.ptx) or not _computes_on_cuda(env, build):
        return None
    for gpu in env.gpus.value:
        if not _runs_on(build, release_of(gpu.capability)):
            has = ", ".join(build.archs) or "none"
            ptx = f", PTX {', '.join(build.ptx)}" if build.ptx else ""
            return f"no code for compute capability {gpu.capability} ({gpu.name}); it has {has}{ptx}"
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
    fits_backend,
    fits_driver,
    fits_gpu,
    is_last_resort,
)


def _computes_on_cuda(env: Environment, build: Build) -> bool:
    torch = env.torch.value
    return (
        build.cuda_major is not None
        and torch is not None
        and torch.backend == "cuda"
        and env.accelerator.value.kind == "cuda"
    )


def _runs_on(build: Build, capability: tuple[int, ...]) -> bool:
    major, minor = (*capability, 0, 0)[:2]
    for arch in build.archs:
        code_major, code_minor = (*release_of(arch), 0, 0)[:2]
        if code_major == major and code_minor <= minor:
            return True
    return any(release_of(ptx) <= (major, minor) for ptx in build.ptx)
