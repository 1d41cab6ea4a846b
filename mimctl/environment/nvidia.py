"""NVIDIA's driver and GPUs, MIG devices included: from the kernel's files, else from nvidia-smi."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mimctl.environment.ask import ask, read_text
from mimctl.environment.installed import Fact
from mimctl.environment.model import Gpu

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
TIMEOUT_S = 15.0
"""Waking eight sleeping GPUs takes nvidia-smi several seconds."""

_FIELDS: tuple[str, ...] = (
    "index",
    "uuid",
    "driver_version",
    "compute_cap",
    "memory.total",
    "mig.mode.current",
    "name",
)
# Drivers before 510 refuse the whole question for `compute_cap`.
_OLD_FIELDS: tuple[str, ...] = ("index", "uuid", "driver_version", "memory.total", "name")
_WSL_SMI = "usr/lib/wsl/lib/nvidia-smi"
_MIG_LINE = r"\s+MIG (?P<profile>\S+)\s+Device\s+\d+:\s+\(UUID: (?P<uuid>[^)\s]+)\)"
_GPU_LINE = r"GPU (?P<index>\d+):.*\(UUID: (?P<uuid>[^)\s]+)\)"


class SmiAnswer(NamedTuple):
    """What nvidia-smi says; `source` names it, and the problem where it says nothing."""

    source: str
    driver: str | None = None
    gpus: tuple[Gpu, ...] = ()


def driver_from_files(root: Path) -> Fact[str] | None:
    """Return the version that the loaded kernel module gives."""
    version = root / "sys/module/nvidia/version"
    word = next(iter(read_text(version).split()), "")
    if _is_version(word):
        return Fact(value=word, source=str(version))
    proc = root / "proc/driver/nvidia/version"
    for line in read_text(proc).splitlines():
        # NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:12:12 UTC 2025
        numbers = [word for word in line.split() if _is_version(word)]
        if line.startswith("NVRM version:") and numbers:
            return Fact(value=numbers[0], source=str(proc))
    return None


def ask_smi(environ: Mapping[str, str], *, root: Path, timeout_s: float = TIMEOUT_S) -> SmiAnswer:
    """Return driver and GPUs as nvidia-smi tells them; WSL keeps it off PATH in a folder of its own."""
    smi = shutil.which("nvidia-smi", path=environ.get("PATH")) or shutil.which(str(root / _WSL_SMI))
    if smi is None:
        return SmiAnswer(source=_why_no_smi(root))
    answer, fields = ask(_question(smi, _FIELDS), timeout_s=timeout_s), _FIELDS
    if (answer.problem or "").startswith("exited"):
        again = ask(_question(smi, _OLD_FIELDS), timeout_s=timeout_s)
        if again.problem is None:
            answer, fields = again, _OLD_FIELDS
    if answer.problem is not None:
        return SmiAnswer(source=f"{smi} {answer.problem}")
    driver, gpus, has_mig = parse_smi(answer.text, fields)
    if driver is None:
        return SmiAnswer(source=f"{smi} said nothing that can be read")
    source = smi if fields is _FIELDS else f"{smi}; driver {driver} does not tell compute capabilities"
    if any(has_mig):
        listed = ask([smi, "-L"], timeout_s=timeout_s)
        gpus = tuple(split_mig(gpus, has_mig, listed.text))
        source = f"{smi}, and `-L` for MIG" if listed.problem is None else f"{smi}; `-L` {listed.problem}"
    return SmiAnswer(source=source, driver=driver, gpus=gpus)


def parse_smi(text: str, fields: Sequence[str] = _FIELDS) -> tuple[str | None, tuple[Gpu, ...], tuple[bool, ...]]:
    """Return driver version, GPUs, and of each whether MIG is on; lines that are no answer are passed over."""
    driver: str | None = None
    gpus, has_mig = [], []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",", len(fields) - 1)]
        if len(words) != len(fields):
            continue
        said = dict(zip(fields, words, strict=True))
        if not _is_version(said["driver_version"]) or not said["index"].isdecimal():
            continue
        driver = driver or said["driver_version"]
        capability, memory = said.get("compute_cap", ""), said["memory.total"]
        gpus.append(
            Gpu(
                name=said["name"],
                capability=capability if re.fullmatch(r"\d+\.\d+", capability) else "",
                memory_mib=int(memory) if memory.isdecimal() else None,
                index=int(said["index"]),
                uuid=said["uuid"] or None,
            )
        )
        has_mig.append(said.get("mig.mode.current", "").lower() == "enabled")
    return driver, tuple(gpus), tuple(has_mig)


def split_mig(gpus: Sequence[Gpu], has_mig: Sequence[bool], listing: str) -> Iterator[Gpu]:
    """Yield GPUs with the MIG devices that `nvidia-smi -L` lists in the place of their parents.

    A parent that is divided, or is meant to be and has no devices yet, cannot be computed on itself.
    """
    devices: dict[int, list[tuple[str, str]]] = {}
    index = -1
    for line in listing.splitlines():
        parent, device = re.match(_GPU_LINE, line), re.match(_MIG_LINE, line)
        if parent:
            index = int(parent["index"])
        elif device:
            devices.setdefault(index, []).append((device["profile"], device["uuid"]))
    for gpu, is_divided in zip(gpus, has_mig, strict=True):
        if not is_divided:
            yield gpu
        for profile, uuid in devices.get(gpu.index or 0, []) if is_divided else []:
            size = re.search(r"\.(\d+)gb", profile)
            memory = int(size[1]) * 1024 if size else None
            yield replace(gpu, name=f"{gpu.name} MIG {profile}", mig=profile, uuid=uuid, memory_mib=memory)


def mark_visible(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Return the GPUs with `is_visible` as CUDA_VISIBLE_DEVICES has it.

    CUDA numbers the fastest GPU first unless CUDA_DEVICE_ORDER is PCI_BUS_ID: where GPUs differ and nothing else says
    which number is which, all that could be meant are visible.
    """
    shown = environ.get(VISIBLE_VARIABLE)
    if shown is None:
        return tuple(gpus)
    words = _up_to_the_first_invalid(shown)
    is_numbered = environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len({gpu.capability for gpu in gpus}) <= 1
    if any(word.isdecimal() for word in words) and not (is_numbered and not any(gpu.mig for gpu in gpus)):
        return tuple(gpus)
    return tuple(replace(gpu, is_visible=any(_names(word, gpu) for word in words)) for gpu in gpus)


def _up_to_the_first_invalid(shown: str) -> list[str]:
    words = []
    for word in (each.strip() for each in shown.split(",")):
        if not (word.isdecimal() or word.startswith(("GPU-", "MIG-"))):
            break
        words.append(word)
    return words


def _names(word: str, gpu: Gpu) -> bool:
    return gpu.index == int(word) if word.isdecimal() else (gpu.uuid or "").startswith(word)


def _question(smi: str, fields: Sequence[str]) -> list[str]:
    return [smi, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]


def _is_version(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)+", text) is not None


def _why_no_smi(root: Path) -> str:
    has_module = (root / "sys/module/nvidia").is_dir()
    if has_module and not (root / "dev/nvidiactl").exists():
        return "no nvidia-smi on PATH and no /dev/nvidiactl: a container started without its GPUs"
    return "no nvidia-smi on PATH"
