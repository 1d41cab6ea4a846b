"""A small training that gives the same numbers in one process and on several ranks, for tests to vary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.hooks import Hook
from mimctl.engine.model import BaseModel
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.split_tensors import put_together
from mimctl.engine.runner import Runner

GLOBAL_BATCH = 4
_TOP_LEVEL = ("sync_bn", "find_unused_parameters", "model_wrapper_cfg")


class Points(Dataset[Any]):
    """Samples of a noisy plane; the noise is drawn anew each time a sample is asked for."""

    def __init__(self, size: int = 16) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        value = torch.tensor([index / self.size, (index % 3) / 3, 1.0]) + 0.1 * torch.rand(3)
        return {"inputs": value, "target": value.sum(), "number": index}


class Net(BaseModel):
    """Two layers with a norm between; `branch` is used by samples of an odd number alone, `idle` never."""

    def __init__(self, *, norm: bool = False, branch: bool = False, idle: bool = False, start: str = "same") -> None:
        super().__init__()
        if start == "same":
            torch.manual_seed(0)
        self.first = nn.Linear(3, 8)
        self.norm = nn.BatchNorm1d(8) if norm else nn.Identity()
        self.last = nn.Linear(8, 1)
        self.branch = nn.Linear(8, 1) if branch else None
        self.idle = nn.Linear(2, 2) if idle else None

    def forward(self, inputs: Any, target: Any = None, number: Any = None, mode: str = "tensor") -> Any:
        hidden = torch.tanh(self.norm(self.first(torch.stack(list(inputs)))))
        output = self.last(hidden).squeeze(1)
        if mode != "loss":
            return [{"output": float(each), "number": int(which)} for each, which in zip(output, number, strict=True)]
        losses = {"loss_plane": ((output - torch.stack(list(target))) ** 2).mean()}
        odd = torch.tensor([int(each) % 2 == 1 for each in number])
        if self.branch is not None and odd.any():
            # The term, and its gradients, are there only where a sample has it.
            losses["loss_odd"] = (self.branch(hidden[odd]) ** 2).mean()
        return losses


class Numbers(BaseMetric):
    """Which samples were seen, in which order, and the sum of their outputs."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend((each["number"], each["output"]) for each in data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"numbers": [number for number, _ in results], "sum": sum(output for _, output in results)}


class Recorder(Hook):
    """Remember the loss of each iteration and what was logged."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append(distributed.mean_by_name({"loss": float(outputs["loss"])})["loss"])
        if runner.optim_wrapper.last_grad_norm is not None:
            self.norms.append(float(runner.optim_wrapper.last_grad_norm))


def make_runner(folder: str | Path, options: Mapping[str, Any]) -> Runner:
    """Return a Runner; `model` are arguments of Net, `size` is that of the data, `sampler` its options."""
    options = dict(options)
    size, ranks = options.pop("size", 16), distributed.get_world_size()
    top = {key: options.pop(key) for key in _TOP_LEVEL if key in options}
    sampler = {"type": "DefaultSampler", **options.pop("sampler", {})}
    loader = {"dataset": Points(size), "sampler": sampler, "batch_size": options.pop("batch", GLOBAL_BATCH) // ranks}
    optim = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}}
    arguments: dict[str, Any] = {
        "model": Net(**options.pop("model", {})),
        "work_dir": folder,
        "train_dataloader": loader,
        "train_cfg": {"by_epoch": True, "max_epochs": options.pop("max_epochs", 2)},
        "optim_wrapper": {**optim, **options.pop("optim", {})},
        "default_hooks": {"logger": {"type": "LoggerHook", "interval": 2}},
        "randomness": {"seed": 3},
        **options,
    }
    runner = Runner(**arguments, cfg={**arguments, **top})
    runner.register_hook(Recorder())
    return runner


def weights_of(runner: Runner) -> dict[str, list[Any]]:
    """Return the whole weights of a runner's model; every rank must call it."""
    return {name: put_together(each.detach()).tolist() for name, each in runner.bare_model.state_dict().items()}


def trained(folder: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Train and return losses, gradient norms and weights."""
    runner = make_runner(folder, options)
    runner.train()
    recorder = next(each for each in runner.hooks if isinstance(each, Recorder))
    return {"losses": recorder.losses, "norms": recorder.norms, "weights": weights_of(runner)}


def trained_on(rank: int, folder: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Do what `trained` does, for one of several ranks."""
    return trained(folder, options)


def assert_close(found: Mapping[str, Any], expected: Mapping[str, Any], *, tolerance: float = 1e-5) -> None:
    """Compare two trainings."""
    for name in ("losses", "norms"):
        torch.testing.assert_close(
            torch.tensor(found[name]), torch.tensor(expected[name]), rtol=tolerance, atol=tolerance
        )
    assert set(found["weights"]) == set(expected["weights"])
    for name, value in expected["weights"].items():
        left, right = torch.tensor(found["weights"][name]), torch.tensor(value)
        close = torch.allclose(left, right, rtol=tolerance, atol=tolerance)
        assert close, f"{name}: {left.tolist()} and {right.tolist()}"


def resumed_on(rank: int, folder: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Train to the end, then once more from the checkpoint of the first epoch; return what both come to."""
    saving = {"default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1}}}
    whole = trained(folder, {**options, **saving})
    saved = torch.load(f"{folder}/epoch_1.pth", weights_only=True)
    rest = trained(folder, {**options, **saving, "resume": f"{folder}/epoch_1.pth"})
    optimizer = saved["optimizer"]["state"]
    return {
        "whole": whole,
        "rest": rest,
        "kinds": sorted({type(each).__name__ for each in saved["state_dict"].values()}),
        "shapes": {name: list(each.shape) for name, each in saved["state_dict"].items()},
        "moments": {number: [list(value.shape) for value in each.values()] for number, each in optimizer.items()},
    }
