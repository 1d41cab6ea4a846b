"""User code of a toy experiment: what a config's `custom_imports` brings in (imported by child processes)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import mimctl.vision.transforms  # noqa: F401 — registers LoadImageFromFile
from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.hooks import Hook
from mimctl.engine.model import BaseModel
from mimctl.engine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS


@DATASETS.register_module()
class ToyData(Dataset[Any]):
    """Samples of a noisy line; the noise is drawn anew each time a sample is asked for."""

    metainfo = {"classes": ("a", "b")}

    def __init__(self, size: int = 12) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        value = torch.tensor([index / self.size, 1.0]) + 0.1 * torch.rand(2)
        return {"inputs": value, "target": value.sum()}


@DATASETS.register_module()
class FileData(Dataset[Any]):
    """Pictures in a folder; from an epoch on something is wrong with the one that is called `3.png`."""

    metainfo = {"classes": ("a", "b")}

    def __init__(self, folder: str, breaks_at: int = 0, kills_at: int = 0, fails_at: int = 0) -> None:
        self.paths = sorted(Path(folder).iterdir())
        self.breaks_at, self.kills_at, self.fails_at = breaks_at, kills_at, fails_at
        self.load = TRANSFORMS.build({"type": "LoadImageFromFile"})

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        path = self.paths[index]
        epoch = getattr(index, "epoch", 0) + 1
        if path.name == "3.png":
            if epoch == self.breaks_at:
                path.write_bytes(b"not a picture any more")
            if epoch == self.kills_at:
                os.kill(os.getpid(), 9)
            if epoch == self.fails_at:
                raise KeyError("no such label")
        image = self.load({"img_path": str(path)})["img"]
        value = torch.tensor([image.mean() / 255, 1.0], dtype=torch.float32)
        return {"inputs": value, "target": value.sum()}


@MODELS.register_module()
class ToyModel(BaseModel):
    """Two linear layers, batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Linear(8, 1)

    def forward(self, inputs: Any, target: Any = None, data_samples: Any = None, mode: str = "tensor") -> Any:
        stacked = torch.stack(list(inputs))
        output = self.last(self.drop(torch.relu(self.norm(self.first(stacked))))).squeeze(1)
        if mode == "loss":
            return {"loss_line": ((output - torch.stack(list(target))) ** 2).mean()}
        return [{"output": float(value)} for value in output]


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """The mean of the outputs, and their number."""

    default_prefix = "toy"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(sample["output"] for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"accuracy": sum(results) / len(results), "count": len(results)}


@HOOKS.register_module()
class Trouble(Hook):
    """Make trouble of a kind at an iteration, on one rank or on all."""

    def __init__(self, kind: str, at: int, rank: int | None = None, folder: str = "") -> None:
        self.kind, self.at, self.rank, self.folder = kind, at, rank, folder

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if self.kind == "slow":
            time.sleep(0.5)
        if runner.iter != self.at or self.rank not in (None, runner.rank):
            return
        if self.kind == "error":
            raise ValueError("a bug in a hook")
        if self.kind == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.kind == "kill":
            os.kill(os.getpid(), 9)
        if self.kind == "wait":
            time.sleep(900)
        if self.kind == "until":
            (Path(self.folder) / "waiting").touch()
            while not (Path(self.folder) / "go").exists():
                time.sleep(0.02)
        if self.kind == "fill":
            with contextlib.suppress(OSError), (Path(self.folder) / "filler").open("wb", buffering=0) as stream:
                while True:
                    stream.write(bytes(64))


def toy_loader(size: int = 12, *, shuffle: bool = True, **options: Any) -> dict[str, Any]:
    """Return a dataloader config over ToyData."""
    return {
        "dataset": ToyData(size),
        "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
        "batch_size": 4,
        "num_workers": 0,
        **options,
    }
