"""A toy experiment: a small model with dropout on synthetic samples, trained in milliseconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mimctl.engine.runner import Runner

# The toy experiment is user code: child processes import it by the name that their config gives.
sys.path.insert(0, str(Path(__file__).parent))
from toy_experiment import ToyMetric, ToyModel, toy_loader


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
