"""What a run may not cost: modules that nobody uses, tensors read between log points, checkpoints that grow.

How long it takes is measured by `tests/bench/overhead.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toy_experiment import ToyModel

from mimctl.engine.hooks import Hook
from mimctl.engine.runner import Runner

MakeRunner = Callable[..., Runner]
Loader = Callable[..., dict[str, Any]]

HEAVY = ("matplotlib", "cv2", "PIL", "tensorboard", "wandb", "mlflow", "torchvision")
RUN = """
import sys
import torch
from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.model import BaseModel
from mimctl.engine.runner import Runner
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return {"inputs": torch.ones(2)}
class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def forward(self, inputs, mode):
        output = self.layer(torch.stack(inputs))
        return {"loss": output.mean()} if mode == "loss" else [{"output": each} for each in output]
class Count(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += data_samples
    def compute_metrics(self, results):
        return {"count": len(results)}
loader = dict(dataset=Data(), sampler=dict(type="DefaultSampler"), batch_size=4)
runner = Runner(Net(), sys.argv[1], train_dataloader=loader, val_dataloader=loader, val_evaluator=[Count()],
                train_cfg=dict(max_epochs=1), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), log_level="ERROR")
runner.train()
print(*sorted(sys.modules))
"""


def test_training_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    canaries = tmp_path / "canaries"  # so that each of them could be imported here
    for name in HEAVY:
        (canaries / name).mkdir(parents=True)
        (canaries / name / "__init__.py").write_text("")
    places = [str(canaries), str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(done.stdout.split())
    assert "mimctl.engine.hooks.checkpoint" in imported
    assert imported.isdisjoint(HEAVY)
    assert not any(name.startswith("torch.utils.tensorboard") for name in imported)


class Reads(TorchDispatchMode):
    """Note the iteration in which a tensor's value is asked for (`item()`, `float()`, `if tensor`)."""

    def __init__(self, runner: Runner) -> None:
        super().__init__()
        self.runner = runner
        self.at: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.at.append(self.runner.iter)
        return func(*args, **(kwargs or {}))


class Reader(Hook):
    """Read a tensor at one iteration: what `Reads` has to see."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter == 4 and outputs["loss"] > 1e9:
            raise AssertionError


@pytest.mark.parametrize("reads_once_more", [False, True])
def test_no_tensor_is_read_between_log_points(make_runner: MakeRunner, loader: Loader, reads_once_more: bool) -> None:
    runner = make_runner(
        train_cfg={"by_epoch": False, "max_iters": 9, "val_interval": 100},
        train_dataloader=loader(40),  # one pass: starting another reads the order of the samples
        val_dataloader=None,
        # Adam and averaged models count their steps in tensors that stay on the CPU, and read those.
        optim_wrapper={
            "optimizer": {"type": "SGD", "lr": 0.01},
            "clip_grad": {"max_norm": 35},
            "accumulative_counts": 2,
        },
        custom_hooks=[Reader()] if reads_once_more else [],
        default_hooks={"logger": {"type": "LoggerHook", "interval": 7}, "checkpoint": None},
    )
    with Reads(runner) as reads:
        runner.train()
    last = {8, 9}  # the end of the run
    assert set(reads.at) - {0} - last <= ({4, 6} if reads_once_more else {6})
    assert (4 in reads.at) is reads_once_more


class FourTerms(ToyModel):
    """A loss in four terms: several scalars at each iteration."""

    def forward(self, *args: Any, mode: str = "tensor", **kwargs: Any) -> Any:
        found = super().forward(*args, mode=mode, **kwargs)
        return {f"loss_{number}": found["loss_line"] / 4 for number in range(4)} if mode == "loss" else found


def test_checkpoints_do_not_grow(make_runner: MakeRunner) -> None:
    runner = make_runner(
        model=FourTerms,
        train_cfg={"by_epoch": False, "max_iters": 1200, "val_interval": 400},
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": 10},
            "checkpoint": {"by_epoch": False, "interval": 300, "max_keep_ckpts": 4, "save_last": False},
        },
        log_level="ERROR",
    )
    runner.train()
    saved = [runner.work_dir / f"iter_{at}.pth" for at in (600, 900, 1200)]
    sizes = [path.stat().st_size for path in saved]
    # A number of iterations takes a byte or two more when it has more digits; the histories are not in there.
    assert max(sizes) - min(sizes) <= 64
    histories = runner.message_hub.log_scalars
    assert {"train/loss_0", "train/loss_3", "train/time"} < set(histories)
    assert max(len(each.values) for each in histories.values()) == 10
