"""The NVIDIA driver and GPUs, ROCm or Metal of this machine; the order of detection is uv's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from mimctl.environment.model import Accelerator, Fact, Gpu
from mimctl.errors import UsageError

DRIVER_VARIABLE = "MIMCTL_DRIVER"
"""Takes the place of detection: an NVIDIA driver version (`580.65.06`), `rocm`, or `none`."""
GPUS_VARIABLE = "MIMCTL_GPUS"
"""Compute capabilities that take the place of what nvidia-smi says: `8.0,9.0`."""

_SMI_FIELDS = "driver_version,compute_cap,memory.total,name"
_SMI_TIMEOUT_S = 20


def detect_accelerator(
    environ: Mapping[str, str], *, root: Path = Path("/")
) -> tuple[Fact[Accelerator], Fact[tuple[Gpu, ...]]]:
    """Return the accelerator and its GPUs; `root` is where /sys, /proc and /opt are looked for."""
    told = environ.get(DRIVER_VARIABLE, "").strip()
    driver = _told(told) if told else _driver_file(root)
    if driver is not None and driver.value.kind != "cuda":
        return driver, Fact(value=(), source=driver.source)
    gpus, by_smi = _gpus(environ, asked=not told)
    driver = driver or by_smi or _rocm(root) or _metal()
    if driver is None:
        return Fact(value=Accelerator(kind="none"), source="no NVIDIA driver, ROCm or Metal found"), gpus
    found = driver.value
    return Fact(value=Accelerator(kind=found.kind, driver=found.driver, gpus=gpus.value), source=driver.source), gpus


def _told(text: str) -> Fact[Accelerator]:
    if text.lower() == "none":
        return Fact(value=Accelerator(kind="none"), source=DRIVER_VARIABLE)
    if text.lower() == "rocm":
        return Fact(value=Accelerator(kind="rocm"), source=DRIVER_VARIABLE)
    if not text[:1].isdigit():
        raise UsageError(
            f"`{DRIVER_VARIABLE}` is `{text}`",
            causes=["it takes an NVIDIA driver version, `rocm` or `none`"],
            hints=[f"for example `{DRIVER_VARIABLE}=580.65.06`"],
        )
    return Fact(value=Accelerator(kind="cuda", driver=text), source=DRIVER_VARIABLE)


def _driver_file(root: Path) -> Fact[Accelerator] | None:
    version = root / "sys/module/nvidia/version"
    words = _read(version).split()
    if words:
        return Fact(value=Accelerator(kind="cuda", driver=words[0]), source=str(version))
    proc = root / "proc/driver/nvidia/version"
    for line in _read(proc).splitlines():
        # NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:12:12 UTC 2025
        numbers = [word for word in line.split() if word[:1].isdigit() and word.count(".") >= 1]
        if line.startswith("NVRM version:") and numbers:
            return Fact(value=Accelerator(kind="cuda", driver=numbers[0]), source=str(proc))
    return None


def _gpus(environ: Mapping[str, str], *, asked: bool) -> tuple[Fact[tuple[Gpu, ...]], Fact[Accelerator] | None]:
    told = environ.get(GPUS_VARIABLE, "").replace(",", " ").split()
    if told:
        return Fact(value=tuple(Gpu(name="told", capability=each) for each in told), source=GPUS_VARIABLE), None
    smi = shutil.which("nvidia-smi", path=environ.get("PATH")) if asked else None
    if smi is None:
        return Fact(value=(), source="no nvidia-smi on PATH" if asked else DRIVER_VARIABLE), None
    try:
        answer = subprocess.run(
            [smi, f"--query-gpu={_SMI_FIELDS}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_SMI_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return Fact(value=(), source=f"{smi} gave no answer ({type(err).__name__})"), None
    if answer.returncode != 0:
        return Fact(value=(), source=f"{smi} exited {answer.returncode}"), None
    driver, gpus = parse_smi(answer.stdout)
    fact = Fact(value=Accelerator(kind="cuda", driver=driver), source=smi) if driver else None
    return Fact(value=gpus, source=smi), fact


def parse_smi(text: str) -> tuple[str | None, tuple[Gpu, ...]]:
    """Return driver version and GPUs from nvidia-smi's csv lines (driver, capability, MiB, name)."""
    driver: str | None = None
    gpus: list[Gpu] = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",", 3)]
        if len(words) != 4 or not words[0][:1].isdigit():
            continue
        driver = driver or words[0]
        if words[1][:1].isdigit():
            gpus.append(
                Gpu(capability=words[1], memory_mib=int(words[2]) if words[2].isdigit() else None, name=words[3])
            )
    return driver, tuple(gpus)


def _rocm(root: Path) -> Fact[Accelerator] | None:
    if not (root / "dev/kfd").exists():
        return None
    version = root / "opt/rocm/.info/version"
    return Fact(
        value=Accelerator(kind="rocm", driver=_read(version).strip() or None),
        source=str(version) if version.exists() else str(root / "dev/kfd"),
    )


def _metal() -> Fact[Accelerator] | None:
    import platform

    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Fact(value=Accelerator(kind="mps"), source="macOS on arm64")
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
