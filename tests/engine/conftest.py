"""A toy experiment: a small model with dropout on synthetic samples, trained in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.model import BaseModel
from mimctl.engine.runner import Runner


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


class ToyMetric(BaseMetric):
    """The mean of the outputs."""

    default_prefix = "toy"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(sample["output"] for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"accuracy": sum(results) / len(results)}


def toy_loader(size: int = 12, *, shuffle: bool = True, **options: Any) -> dict[str, Any]:
    """Return a dataloader config over ToyData."""
    return {
        "dataset": ToyData(size),
        "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
        "batch_size": 4,
        "num_workers": 0,
        **options,
    }


@pytest.fixture
def loader() -> Callable[..., dict[str, Any]]:
    """Return the function that makes dataloader configs."""
    return toy_loader


@pytest.fixture
def make_runner(tmp_path: Path) -> Callable[..., Runner]:
    """Return a function that makes a Runner of the toy experiment; keywords replace the Runner's own."""

    def make(**options: Any) -> Runner:
        arguments: dict[str, Any] = {
            "model": ToyModel,
            "work_dir": tmp_path / "run",
            "train_dataloader": toy_loader(),
            "val_dataloader": toy_loader(4, shuffle=False),
            "train_cfg": {"by_epoch": True, "max_epochs": 3},
            "val_cfg": {},
            "val_evaluator": [ToyMetric()],
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.05, "momentum": 0.9}},
            "param_scheduler": [{"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 4}],
            "default_hooks": {"logger": {"type": "LoggerHook", "interval": 2}},
            "randomness": {"seed": 3},
            **options,
        }
        if isinstance(arguments["model"], type):
            torch.manual_seed(0)
            arguments["model"] = arguments["model"]()
        return Runner(**arguments)

    return make
