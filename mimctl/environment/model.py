"""What was detected about one target environment; every fact keeps the source it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mimctl.environment.installed import Distribution, Fact, Ops, OpsTier, Target, Torch, release_of

AcceleratorKind = Literal["cuda", "rocm", "xpu", "mps", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the target keeps what is installed (sysconfig's scheme), and where it looks for modules."""

    prefix: Path
    purelib: Path
    platlib: Path
    scripts: Path
    data: Path
    search: tuple[Path, ...]
    is_virtual: bool
    externally_managed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Libc:
    """The C library of a Linux target; `version` as (major, minor)."""

    family: Literal["glibc", "musl"]
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.family} {self.version[0]}.{self.version[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Operating system and machine, in the words of wheel tags."""

    system: Literal["linux", "darwin", "win32", "other"]
    machine: str
    """x86_64, aarch64, arm64, AMD64, …"""
    release: tuple[int, int] | None = None
    """macOS release; None elsewhere."""

    def __str__(self) -> str:
        return f"{self.system} {self.machine}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, or one MIG device of it; `capability` as NVIDIA writes it (`9.0`)."""

    name: str
    capability: str
    """Empty where the driver does not tell; `gfx942` for AMD's."""
    memory_mib: int | None = None
    """Of a MIG device what its profile is named after."""
    index: int | None = None
    """Its number in nvidia-smi's order."""
    uuid: str | None = None
    mig: str | None = None
    """Profile of a MIG device: `1g.10gb`."""
    is_visible: bool = True
    """Whether CUDA_VISIBLE_DEVICES leaves it to programs that start here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """What the machine can compute on besides its CPU; `driver` is the version of the NVIDIA driver or of ROCm."""

    kind: AcceleratorKind
    driver: str | None = None
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """A CUDA toolkit; `version` is None where neither a file nor nvcc says it."""

    path: Path
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rocm:
    """ROCm; `path` is None where the GPUs are there and no installation is."""

    path: Path | None
    version: str | None
    archs: tuple[str, ...] = ()
    """Of the GPUs: `gfx942`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSetting:
    """One value that says where packages come from; addresses are without their passwords."""

    tool: str
    """Whose it is: `mimctl`, `pip` or `uv`."""
    key: str
    """`index-url`, `extra-index-url`, `find-links`, … as pip's options are called."""
    value: str
    source: str


NOT_LOOKED: Fact[None] = Fact(value=None, source="nobody looked")
_NO_INDEXES: Fact[tuple[PackageSetting, ...]] = Fact(value=(), source="nobody looked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """All facts about one target environment."""

    target: Target
    python: Fact[str]
    """Full version, `3.11.7`."""
    abi: Fact[str]
    """`cp311`, `cp313t`, …"""
    platform: Fact[Platform]
    libc: Fact[Libc | None]
    torch: Fact[Torch | None]
    accelerator: Fact[Accelerator]
    gpus: Fact[tuple[Gpu, ...]]
    ops: Fact[Ops | None]
    ops_tier: Fact[OpsTier | None]
    """What would serve an operator, judged by files alone; the source says by which."""
    cv2: Fact[Path | None]
    slurm: Fact[str | None]
    pip: Fact[str | None]
    uv: Fact[str | None]
    torch_origin: Fact[str | None] = NOT_LOOKED
    """Who installed torch: `pip`, `uv`, `conda`, `editable, from …`."""
    visible_gpus: Fact[str | None] = NOT_LOOKED
    """What CUDA_VISIBLE_DEVICES or its like says."""
    cuda_toolkit: Fact[Toolkit | None] = NOT_LOOKED
    rocm: Fact[Rocm | None] = NOT_LOOKED
    container: Fact[str | None] = NOT_LOOKED
    wsl: Fact[str | None] = NOT_LOOKED
    indexes: Fact[tuple[PackageSetting, ...]] = _NO_INDEXES
    """Where mimctl, pip and uv are told to take packages from."""
    uv_path: Path | None = None
    paths: Paths
    distributions: Mapping[str, Distribution] = field(default_factory=dict)

    @property
    def python_release(self) -> tuple[int, int]:
        """Return (major, minor) of the target's Python."""
        major, minor = release_of(self.python.value)[:2]
        return major, minor

    @property
    def interpreter_tag(self) -> str:
        """Return the most specific tag pair and platform: `cp311-cp311-linux_x86_64`."""
        major, minor = self.python_release
        platform = self.platform.value
        return f"cp{major}{minor}-{self.abi.value}-{platform.system}_{platform.machine}"
