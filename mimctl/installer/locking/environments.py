"""Which environments a lock is made for, and with which torch: what was said, what is locked, else this machine."""

from __future__ import annotations

import re
from collections.abc import Callable

from mimctl.environment.installed import Torch
from mimctl.environment.model import Environment
from mimctl.installer.locking.cells import Cell, cell_for, cell_of
from mimctl.installer.locking.reading import Lock
from mimctl.installer.locking.requests import LockOptions


def cells_of(
    options: LockOptions, previous: Lock | None, target: Callable[[], Environment], torch: str
) -> tuple[list[Cell], tuple[str, ...], str]:
    """Return the environments, what is to be said about them, and which torch they get."""
    if not options.environments and not options.pythons and previous is not None and previous.cells:
        return list(previous.cells), (), torch
    pythons = options.pythons or (".".join(map(str, target().python_release)),)
    if options.environments:
        return [cell_for(words, python) for words in options.environments for python in pythons], (), torch
    env = target()
    notes: tuple[str, ...] = ()
    there = env.torch.value
    if there is not None and torch == "auto":
        torch = _wish_for(there)
        if torch == "none":
            notes = (f"torch {there.version} is installed and in no index: the lock leaves torch to whoever syncs",)
    here = cell_of(env, accelerator_of(env))
    return [cell_for(here.words, python) for python in pythons], notes, torch


def accelerator_of(env: Environment) -> str:
    """Return the word for what a machine computes on: by the torch that is there, else by its driver."""
    from mimctl.selection.torch_build import choose_torch

    there = env.torch.value
    if there is not None:
        if there.backend == "cuda":
            label = there.label or ""
            return label if re.fullmatch(r"cu\d{3}", label) else f"cu{there.cuda_major}"
        return f"rocm{there.hip or ''}" if there.backend == "rocm" else "cpu"
    build = choose_torch(env, "auto", verified="0")
    tag = build.tag if build is not None else None
    if tag is None:
        return "mps" if env.platform.value.machine == "arm64" else "cpu"
    return tag


def _wish_for(there: Torch) -> str:
    """Return what asks for the torch that is installed; `none` for one that no index has."""
    public, _, label = there.version.partition("+")
    if not re.fullmatch(r"\d+(\.\d+)+", public) or not re.fullmatch(r"(cpu|cu\d{3}|rocm[\d.]+)?", label):
        return "none"
    if not label and there.cuda:
        label = "cu" + there.cuda.replace(".", "")
    return f"{public}+{label}" if label else public
