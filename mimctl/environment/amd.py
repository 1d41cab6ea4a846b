"""ROCm and AMD's GPUs, from the files of the kernel and of the installation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mimctl.environment.ask import read_text
from mimctl.environment.installed import Fact
from mimctl.environment.model import Gpu, Rocm

_TOPOLOGY = "sys/class/kfd/kfd/topology/nodes"
# Graphics inside processors that torch's builds have no code for.
_INTEGRATED = frozenset({"gfx902", "gfx909", "gfx90c", "gfx1033", "gfx1035", "gfx1036", "gfx1037", "gfx1103"})


def find_rocm(environ: Mapping[str, str], *, root: Path) -> Fact[Rocm | None]:
    """Return where ROCm is installed, its version and the GPUs' architectures.

    None where neither an installation nor a GPU is there; a GPU alone is enough for torch, whose wheels bring ROCm.
    """
    gpus = amd_gpus(root)
    archs = tuple(dict.fromkeys(gpu.capability for gpu in gpus))
    for path, source in _places(environ, root):
        version = path / ".info/version"
        text = read_text(version).strip()
        if text or (path / "bin/rocminfo").exists():
            return Fact(
                value=Rocm(path=path, version=text or None, archs=archs), source=str(version) if text else source
            )
    if archs:
        return Fact(value=Rocm(path=None, version=None, archs=archs), source=str(root / _TOPOLOGY))
    return Fact(value=None, source="no ROCm in ROCM_PATH, HIP_PATH or /opt/rocm, no AMD GPU")


def amd_gpus(root: Path) -> tuple[Gpu, ...]:
    """Return the GPUs that the kernel driver lists; their `capability` is `gfx942`."""
    return tuple(_gpus(root))


def is_worth_rocm(rocm: Rocm | None, *, has_device: bool) -> bool:
    """Return whether ROCm is what this machine computes with: integrated graphics alone are no reason."""
    if not has_device:
        return False
    if rocm is None:
        return True  # a device whose topology cannot be read
    return rocm.path is not None or any(arch not in _INTEGRATED for arch in rocm.archs)


def _places(environ: Mapping[str, str], root: Path) -> Iterator[tuple[Path, str]]:
    for name in ("ROCM_PATH", "HIP_PATH"):
        if environ.get(name):
            yield Path(environ[name]), name
    yield root / "opt/rocm", str(root / "opt/rocm")


def _gpus(root: Path) -> Iterator[Gpu]:
    try:
        nodes = sorted((root / _TOPOLOGY).iterdir(), key=lambda path: (len(path.name), path.name))
    except OSError:
        return
    index = 0
    for node in nodes:
        arch = arch_of(_properties(node / "properties").get("gfx_target_version", 0))
        if arch is None:
            continue  # a processor
        name = read_text(node / "name").strip() or "AMD GPU"
        yield Gpu(name=name, capability=arch, memory_mib=_memory_mib(node), index=index)
        index += 1


def arch_of(number: int) -> str | None:
    """Return the name of an architecture from the kernel's number: 90402 → `gfx942`, 90010 → `gfx90a`."""
    return f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}" if number > 0 else None


def _memory_mib(node: Path) -> int | None:
    total = 0
    for bank in node.glob("mem_banks/*/properties"):
        facts = _properties(bank)
        if facts.get("heap_type") in (1, 2):  # the card's own memory, visible to the processor or not
            total += facts.get("size_in_bytes", 0)
    return total >> 20 or None


def _properties(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in read_text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
