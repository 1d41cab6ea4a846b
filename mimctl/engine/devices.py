"""The device of this process and its memory, in MMEngine's names: CUDA (ROCm too) or the CPU."""

from __future__ import annotations

import torch


def get_device() -> str:
    """Return `cuda` where a GPU is visible, else `cpu`: what the runner computes on."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def is_cuda_available() -> bool:
    """Say whether a GPU is visible."""
    return torch.cuda.is_available()


def is_mps_available() -> bool:
    """Say whether Apple's GPU is there; the runner does not use it."""
    return torch.backends.mps.is_available()


def get_max_cuda_memory(device: torch.device | None = None) -> int:
    """Return the largest share of GPU memory in use so far, in MiB, and count anew from here."""
    used = torch.cuda.max_memory_allocated(device=device)
    torch.cuda.reset_peak_memory_stats()
    return int(used) // 2**20
