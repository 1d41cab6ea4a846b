"""Our Runner over many iterations: what one costs early and late, and how large a checkpoint is then.

python mimctl_long.py ITERATIONS WINDOW; four loss terms and clipping, so that six scalars are recorded at each step. At
each place the bare loop runs as well, as the speed of a machine changes in minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from task import Stamps, loss_of, make_loader, make_network, train_bare
from torch import Tensor

from mimctl.engine.hooks import Hook
from mimctl.engine.model import BaseModel
from mimctl.engine.runner import Runner

ITERATIONS, WINDOW = int(sys.argv[1]), int(sys.argv[2])
PLACES = (10, 1000, ITERATIONS // 3, 2 * ITERATIONS // 3, ITERATIONS - WINDOW - 10)


class Net(BaseModel):
    """The network with its loss in four terms."""

    def __init__(self) -> None:
        super().__init__()
        self.network = make_network()
        self.stamps: Stamps = []

    def forward(self, inputs: Tensor, labels: Any = None, mode: str = "tensor") -> Any:
        loss = loss_of(self.network, inputs, labels, self.stamps)
        self.stamps.clear()
        return {f"loss_{number}": loss / 4 for number in range(4)}


class Measure(Hook):
    """Time windows of iterations, each beside one of the bare loop; save a checkpoint after each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.begun = folder, 0.0

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter in PLACES:
            self.begun = time.process_time()
        if runner.iter - WINDOW in PLACES:
            own = 1e6 * (time.process_time() - self.begun) / WINDOW
            stamps = train_bare(WINDOW)
            bare = 1e6 * (stamps[-1] - stamps[0]) / (WINDOW - 1)
            saved = runner.save_checkpoint(self.folder, "now.pth")
            print(json.dumps({"at": runner.iter - WINDOW, "own": own, "bare": bare, "bytes": saved.stat().st_size}))


torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    Runner(
        Net(),
        work_dir=folder,
        train_dataloader=make_loader(),
        train_cfg={"by_epoch": False, "max_iters": ITERATIONS},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}, "clip_grad": {"max_norm": 35}},
        param_scheduler={"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 100000},
        default_hooks={"checkpoint": {"by_epoch": False, "interval": 10**9}, "logger": {"interval": 50}},
        custom_hooks=[Measure(Path(folder))],
        log_level="ERROR",
    ).train()
