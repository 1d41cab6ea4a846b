"""What names a target and what is installed in it: the interpreter, distributions, torch, operators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

T = TypeVar("T", covariant=True)

Backend = Literal["cpu", "cuda", "rocm", "xpu"]
OpsTier = Literal["compiled", "python", "failed"]
"""What serves an operator: the compiled library, pure PyTorch, or nothing, as an installed library cannot load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Generic[T]):
    """A value and where it was read."""

    value: T
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The interpreter that is worked on, and what named it."""

    python: Path
    source: str
    """`--python`, `VIRTUAL_ENV`, `./.venv`, …"""
    is_own: bool
    """Whether it is the interpreter that runs mimctl itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution, as its `.dist-info` folder names it."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    path: Path
    """The `.dist-info` (or `.egg-info`) folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Torch:
    """The torch that is installed, read from its `version.py` without importing it."""

    version: str
    """With the local label: `2.13.0+cpu`."""
    cuda: str | None
    """CUDA toolkit it was built with (`13.0`), None for other builds."""
    hip: str | None
    path: Path | None
    cxx11_abi: bool | None = None
    xpu: str | None = None
    """Intel's toolkit it was built with, None for other builds."""

    @property
    def label(self) -> str | None:
        """Return the local version label (`cpu`, `cu130`), None where it has none."""
        return self.version.partition("+")[2] or None

    @property
    def release(self) -> tuple[int, ...]:
        """Return the release as numbers: (2, 13, 0)."""
        return release_of(self.version)

    @property
    def backend(self) -> Backend:
        """Return what the build computes on besides the CPU."""
        if self.hip:
            return "rocm"
        if self.xpu:
            return "xpu"
        return "cuda" if self.cuda else "cpu"

    @property
    def cuda_major(self) -> int | None:
        """Return the major number of the CUDA toolkit."""
        numbers = release_of(self.cuda or "")
        return numbers[0] if numbers else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ops:
    """The mimctl-ops that is installed, read from its files without importing it."""

    version: str | None
    """With its label: `0.3.0+cu13`; None where the package lies on the path without a distribution."""
    path: Path
    """Folder of the package."""
    backend: str | None
    """cpu, cu12, cu13, rocm or python; None where its `build.json` cannot be read."""
    toolkit: str | None = None
    """CUDA toolkit it was compiled with (`13.0`), None where it has no CUDA half."""
    min_torch: str | None = None
    max_torch: str | None = None
    min_driver: str | None = None
    archs: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()
    library: Path | None = None
    """The compiled library, None where none is there."""
    asked: str | None = None
    """What `MIMCTL_OPS` says, None where it is not set."""


def release_of(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: `2.13.0a0+cu130` → (2, 13, 0); never raises."""
    numbers: list[int] = []
    for part in version.partition("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits[:_MOST_DIGITS]))
        if digits != part:
            break
    return tuple(numbers)


_MOST_DIGITS = 18
