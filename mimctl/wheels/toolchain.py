"""Finds nvcc for a build: a toolkit of the machine, or CUDA 13 and later from the package index, kept in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.wheels.build_environment import Recipe, Report, ensure
from mimctl.wheels.matrix import BuildCell

_PACKAGES = ("nvidia-cuda-nvcc", "nvidia-nvvm", "nvidia-cuda-crt", "nvidia-cuda-runtime", "nvidia-cuda-cccl")
_FIRST_PACKAGED = 13
"""The packages of earlier toolkits hold no nvcc that could be used where they put it."""
_LAYOUT = (
    "bin/nvcc",
    "bin/ptxas",
    "bin/fatbinary",
    "nvvm/bin/cicc",
    "nvvm/libdevice",
    "include/cuda_runtime.h",
    "include/crt",
    "lib/libcudart_static.a",
)


def is_packaged(toolkit: str) -> bool:
    """Return whether the package index has the compiler of a toolkit such as "13.0"."""
    return _major(toolkit) >= _FIRST_PACKAGED


def find_nvcc(toolkit: str) -> Path | None:
    """Return an nvcc of this machine of the toolkit's major version: $CUDACXX, then the PATH."""
    for name in (os.environ.get("CUDACXX"), "nvcc"):
        path = shutil.which(name) if name else None
        release = _release(path) if path else None
        if path is not None and release is not None and _major(release) == _major(toolkit):
            return Path(path)
    return None


def cuda_compiler(toolkit: str, *, cache_dir: Path, report: Report) -> Path:
    """Return the nvcc for a toolkit: $CUDACXX where it is set, else that of the package index where it has one.

    Raises MimctlError[build-environment] where it cannot be had.
    """
    if os.environ.get("CUDACXX") or not is_packaged(toolkit):
        found = find_nvcc(toolkit)
        if found is None:
            raise MimctlError(
                f"no compiler of the CUDA toolkit {toolkit}",
                code="build-environment",
                causes=[f"looked at $CUDACXX and for nvcc on the PATH, for release {_major(toolkit)}.*"],
                hints=["name one: `CUDACXX=/path/to/nvcc`"],
            )
        return found
    recipe = Recipe(purpose="toolchains", requirements=tuple(f"{name}=={toolkit}.*" for name in _PACKAGES))
    python = ensure(recipe, cache_dir=cache_dir, report=report, finish=lambda folder: _finish(folder, toolkit))
    return _root(python.parents[1], toolkit) / "bin" / "nvcc"


def cuda_variables(cell: BuildCell, nvcc: Path) -> dict[str, str]:
    """Return the environment variables that tell a build which compiler, GPUs and driver it is for.

    CUDACXX and CUDAARCHS are CMake's own; MIMCTL_OPS_CUDA_ARCHS is the same list in the words of the matrix.
    """
    archs = [f"{arch}+PTX" if arch in cell.ptx else arch for arch in cell.archs]
    targets = [f"{arch.replace('.', '')}-real" for arch in cell.archs]
    targets += [f"{arch.replace('.', '')}-virtual" for arch in cell.ptx]
    return {
        "CUDACXX": str(nvcc),
        "CUDAARCHS": ";".join(targets),
        "MIMCTL_OPS_CUDA_ARCHS": ";".join(archs),
        "MIMCTL_OPS_MIN_DRIVER": cell.min_driver or "",
    }


def _major(release: str) -> int:
    return int(release.partition(".")[0])


def _release(nvcc: str | Path) -> str | None:
    try:
        done = subprocess.run([str(nvcc), "--version"], capture_output=True, text=True, errors="replace")
    except OSError:
        return None
    found = re.search(r"release (\d+\.\d+)", done.stdout)
    return found[1] if done.returncode == 0 and found else None


def _root(folder: Path, toolkit: str) -> Path:
    """Return where the packages put the toolkit."""
    found = sorted(folder.glob(f"lib/python*/site-packages/nvidia/cu{_major(toolkit)}"))
    return found[0] if found else folder / f"nvidia/cu{_major(toolkit)}"


def _finish(folder: Path, toolkit: str) -> None:
    """Check that the packages hold what nvcc needs where it looks for it, and give it the `lib64` it links from."""
    root = _root(folder, toolkit)
    missing = [name for name in _LAYOUT if not (root / name).exists()]
    causes = [f"it has no {name}" for name in missing]
    if not missing:
        if not (root / "lib64").exists():
            (root / "lib64").symlink_to("lib")
        release = _release(root / "bin" / "nvcc")
        if release != toolkit:
            causes.append(f"its nvcc says release {release}, {toolkit} was asked for")
    if causes:
        raise MimctlError(
            f"the CUDA toolkit {toolkit} of the package index is not laid out as expected",
            code="build-environment",
            causes=causes,
            hints=["name a compiler of this machine: `CUDACXX=/path/to/nvcc`"],
        )
