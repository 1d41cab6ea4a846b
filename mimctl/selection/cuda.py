"""What NVIDIA guarantees about drivers, toolkits, machine code and PTX; pure tables and predicates."""

from __future__ import annotations

from collections.abc import Mapping

from mimctl.environment.installed import release_of
from mimctl.environment.model import Environment, Gpu
from mimctl.index.model import Build

MIN_DRIVERS: Mapping[int, str] = {13: "580", 12: "525.60.13", 11: "450.80.02"}
"""CUDA major number → the oldest NVIDIA driver that its builds run on (CUDA's release notes, minor version
compatibility)."""

# The Linux driver that each toolkit came with (CUDA's release notes): older ones cannot compile its PTX.
_TOOLKIT_DRIVERS = {
    (12, 0): "525.60.13",
    (12, 1): "530.30.02",
    (12, 2): "535.54.03",
    (12, 3): "545.23.06",
    (12, 4): "550.54.14",
    (12, 5): "555.42.02",
    (12, 6): "560.28.03",
    (12, 8): "570.26",
    (12, 9): "575.51.03",
    (13, 0): "580.65.06",
    (13, 1): "590.44.01",
}

TEGRA = frozenset({(5, 3), (6, 2), (7, 2), (8, 7)})
"""Jetson's GPUs: machine code for those of desktops and data centres does not run on them, whatever its number (CUDA's
guide, binary compatibility)."""


def driver_floor(build: Build) -> str | None:
    """Return the oldest driver that a build's CUDA runtime starts on, None for builds without CUDA code."""
    return build.min_driver or (MIN_DRIVERS.get(build.cuda_major) if build.cuda_major is not None else None)


def is_at_least(driver: str, floor: str) -> bool:
    """Return whether a driver is as new as `floor`; a floor of fewer numbers means its whole branch."""
    return release_of(driver) >= release_of(floor)


def relevant_gpus(env: Environment) -> tuple[Gpu, ...]:
    """Return the GPUs that a build must have code for: those that CUDA_VISIBLE_DEVICES leaves, all if it leaves none.

    A job that hides every GPU is no reason to install what none of them runs.
    """
    known = tuple(gpu for gpu in env.gpus.value if release_of(gpu.capability))
    return tuple(gpu for gpu in known if gpu.is_visible) or known


def has_machine_code(build: Build, capability: tuple[int, ...]) -> bool:
    """Return whether a build has machine code for a GPU: of the same major and an equal or lower minor number."""
    major, minor = _pair(capability)
    for arch in build.archs:
        code = _pair(release_of(arch))
        is_exact_only = arch.endswith("a") or code in TEGRA or (major, minor) in TEGRA
        if code == (major, minor) or (not is_exact_only and code[0] == major and code[1] <= minor):
            return True
    return False


def has_ptx(build: Build, capability: tuple[int, ...]) -> bool:
    """Return whether a build has PTX that can be compiled for a GPU: of an equal or lower capability.

    PTX for one architecture's own instructions (`9.0a`) is for that one alone.
    """
    own = _pair(capability)
    versions = ((_pair(release_of(ptx)), ptx.endswith("a")) for ptx in build.ptx)
    return any(code == own if is_exact_only else code <= own for code, is_exact_only in versions)


def ptx_driver(build: Build) -> str | None:
    """Return the oldest driver that compiles a build's PTX: the one its toolkit came with.

    A toolkit newer than this table needs at least the newest driver in it; None where the toolkit is not known.
    """
    toolkit = release_of(build.toolkit or "")[:2]
    if not toolkit:
        return driver_floor(build)
    known = [each for each in _TOOLKIT_DRIVERS if each <= toolkit]
    return _TOOLKIT_DRIVERS[max(known)] if known else None


def _pair(capability: tuple[int, ...]) -> tuple[int, int]:
    major, minor = (*capability, 0, 0)[:2]
    return major, minor
