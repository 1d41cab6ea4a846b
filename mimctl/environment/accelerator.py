"""What the machine computes on besides its CPU: NVIDIA, ROCm, Intel or Metal; the order of detection is uv's."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from mimctl.environment import nvidia
from mimctl.environment.amd import amd_gpus, find_rocm, is_worth_rocm
from mimctl.environment.ask import read_text
from mimctl.environment.installed import Fact
from mimctl.environment.model import Accelerator, AcceleratorKind, Gpu
from mimctl.errors import UsageError

DRIVER_VARIABLE = "MIMCTL_DRIVER"
"""Takes the place of detection: an NVIDIA driver version (`580.65.06`), `rocm`, `xpu` or `none`."""
GPUS_VARIABLE = "MIMCTL_GPUS"
"""Compute capabilities that take the place of what nvidia-smi says: `8.0,9.0`."""

_OTHERS: Mapping[str, AcceleratorKind] = {"none": "none", "rocm": "rocm", "xpu": "xpu"}


def detect_accelerator(
    environ: Mapping[str, str], *, root: Path = Path("/"), timeout_s: float = nvidia.TIMEOUT_S
) -> tuple[Fact[Accelerator], Fact[tuple[Gpu, ...]]]:
    """Return the accelerator and its GPUs; `root` is where /sys, /proc, /dev and /opt are looked for.

    `timeout_s` is how long nvidia-smi may take.
    """
    told = environ.get(DRIVER_VARIABLE, "").strip()
    driver = _told(told) if told else _nvidia_module(root)
    if driver is not None and driver.value.kind != "cuda":
        return driver, Fact(value=(), source=driver.source)
    gpus, by_smi = _gpus(environ, root=root, is_told=bool(told), timeout_s=timeout_s)
    driver = driver or by_smi
    if driver is not None:
        seen = Fact(value=nvidia.mark_visible(gpus.value, environ), source=gpus.source)
        return _with_gpus(driver, seen), seen
    rocm = _rocm(environ, root)
    if rocm is not None:
        found = Fact(value=amd_gpus(root), source=rocm.source)
        return _with_gpus(rocm, found), found
    other = _intel(root) or _metal()
    return other or Fact(
        value=Accelerator(kind="none"), source="no NVIDIA driver, ROCm, Intel GPU or Metal found"
    ), gpus


def visible_gpus(environ: Mapping[str, str]) -> Fact[str | None]:
    """Return what hides GPUs from programs that start here."""
    for name in (nvidia.VISIBLE_VARIABLE, "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        if name in environ:
            return Fact(value=environ[name] or "none", source=name)
    return Fact(value=None, source=f"{nvidia.VISIBLE_VARIABLE} is not set: all are visible")


def _told(text: str) -> Fact[Accelerator]:
    if text.lower() in _OTHERS:
        return Fact(value=Accelerator(kind=_OTHERS[text.lower()]), source=DRIVER_VARIABLE)
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", text):
        raise UsageError(
            f"`{DRIVER_VARIABLE}` is `{text}`",
            causes=["it takes an NVIDIA driver version, `rocm`, `xpu` or `none`"],
            hints=[f"for example `{DRIVER_VARIABLE}=580.65.06`"],
        )
    return Fact(value=Accelerator(kind="cuda", driver=text), source=DRIVER_VARIABLE)


def _nvidia_module(root: Path) -> Fact[Accelerator] | None:
    found = nvidia.driver_from_files(root)
    return None if found is None else Fact(value=Accelerator(kind="cuda", driver=found.value), source=found.source)


def _gpus(
    environ: Mapping[str, str], *, root: Path, is_told: bool, timeout_s: float
) -> tuple[Fact[tuple[Gpu, ...]], Fact[Accelerator] | None]:
    told = environ.get(GPUS_VARIABLE, "").replace(",", " ").split()
    wrong = next((word for word in told if not re.fullmatch(r"[0-9]+\.[0-9]+", word)), None)
    if wrong is not None:
        raise UsageError(
            f"`{GPUS_VARIABLE}` has `{wrong}`",
            causes=["it takes compute capabilities, separated by commas"],
            hints=[f"for example `{GPUS_VARIABLE}=8.0,9.0`"],
        )
    if told:
        gpus = tuple(Gpu(name="told", capability=each, index=place) for place, each in enumerate(told))
        return Fact(value=gpus, source=GPUS_VARIABLE), None
    if is_told:
        return Fact(value=(), source=DRIVER_VARIABLE), None
    said = nvidia.ask_smi(environ, root=root, timeout_s=timeout_s)
    fact = Fact(value=Accelerator(kind="cuda", driver=said.driver), source=said.source) if said.driver else None
    return Fact(value=said.gpus, source=said.source), fact


def _with_gpus(found: Fact[Accelerator], gpus: Fact[tuple[Gpu, ...]]) -> Fact[Accelerator]:
    value = Accelerator(kind=found.value.kind, driver=found.value.driver, gpus=gpus.value)
    return Fact(value=value, source=found.source)


def _rocm(environ: Mapping[str, str], root: Path) -> Fact[Accelerator] | None:
    device = root / "dev/kfd"
    rocm = find_rocm(environ, root=root)
    if not is_worth_rocm(rocm.value, has_device=device.exists()):
        return None
    version = rocm.value.version if rocm.value else None
    return Fact(value=Accelerator(kind="rocm", driver=version), source=rocm.source if version else str(device))


def _intel(root: Path) -> Fact[Accelerator] | None:
    """Return Intel's GPU where there is a card of its own: graphics on bus 0 are the processor's."""
    try:
        devices = sorted((root / "sys/bus/pci/devices").iterdir())
    except OSError:
        return None
    for device in devices:
        is_on_board = device.name.split(":")[1:2] == ["00"]
        if is_on_board or not read_text(device / "class").startswith(("0x0300", "0x0380")):
            continue
        if read_text(device / "vendor").strip() == "0x8086":
            return Fact(value=Accelerator(kind="xpu"), source=str(device))
    return None


def _metal() -> Fact[Accelerator] | None:
    import platform

    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Fact(value=Accelerator(kind="mps"), source="macOS on arm64")
    return None
