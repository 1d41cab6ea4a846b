"""Random state of one process: seeding, saving and restoring what torch, numpy and Python draw from."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mimctl.engine.ranks import distributed


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, numpy and torch (all devices); `deterministic` also makes torch refuse what is not."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)


def choose_seed() -> int:
    """Return a seed that nobody chose, the same on every rank."""
    return distributed.broadcast_int(secrets.randbelow(2**31))


def rng_state() -> dict[str, Any]:
    """Return the random state of this process as plain data and tensors (safe to load from a checkpoint)."""
    version, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": [version, torch.tensor(words, dtype=torch.int64), gauss],
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Restore what `rng_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


@contextlib.contextmanager
def preserved_rng() -> Iterator[None]:
    """Leave the random state as it was before the block, whatever the block draws."""
    state = rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
