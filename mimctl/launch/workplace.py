"""Find the environment that runs go into: its interpreter, its toolboxes, the GPUs that its torch can use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimctl.environment.target import find_target
from mimctl.launch.place import Workplace
from mimctl.launch.runs.book import RunBook
from mimctl.plugin.discover import discover
from mimctl.plugin.paths import import_paths
from mimctl.settings import Settings


def find_workplace(settings: Settings, *, counts_gpus: bool = False) -> Workplace:
    """Return the environment that runs go into; `counts_gpus` looks at the accelerator too."""
    source = str(settings.origin("python"))
    target = find_target(settings.python, environ=os.environ, folder=Path.cwd(), source=source)
    paths = import_paths(None if target.is_own else target.python)
    return Workplace(
        python=target.python,
        source=target.source,
        paths=paths,
        plugins=tuple(discover(paths)),
        visible_gpus=count_gpus(paths, os.environ) if counts_gpus else 0,
        cache_dir=settings.cache_dir,
        book=RunBook(settings.home / "runs"),
        nodes_dir=settings.home / "clusters",
        clusters=settings.clusters,
    )


def count_gpus(paths: Sequence[Path], environ: Mapping[str, str]) -> int:
    """Return how many GPUs the torch on an import path can use: a CPU build uses none."""
    from mimctl.environment.accelerator import detect_accelerator
    from mimctl.environment.torch import find_torch

    torch = find_torch(paths, None).value
    if torch is None or torch.backend == "cpu":
        return 0
    shown = environ.get("CUDA_VISIBLE_DEVICES")
    named = None if shown is None else len([each for each in shown.split(",") if each.strip() not in ("", "-1")])
    if named == 0:
        return 0
    _, gpus = detect_accelerator(environ)
    if any(gpu.mig for gpu in gpus.value):
        return 1  # CUDA gives a process one MIG device
    return len(gpus.value) if named is None else min(named, len(gpus.value) or named)
