"""Our Runner over many iterations: what one costs early and late, and how large a checkpoint is then.

python mimctl_long.py ITERATIONS WINDOW; the model returns four more numbers, so that seven scalars are recorded at each
step. At each place some windows are measured, each beside one of the bare loop, as the speed of a machine changes.
"""

from __future__ import annotations

import json
import statistics
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
WINDOWS = 5
PLACES = (10, ITERATIONS // 3, 2 * ITERATIONS // 3, ITERATIONS - WINDOWS * WINDOW - 10)


class Net(BaseModel):
    """The network with its loss, and numbers that cost nothing to compute."""

    def __init__(self) -> None:
        super().__init__()
        self.network = make_network()
        self.stamps: Stamps = []
        self.numbers = {f"number_{place}": torch.tensor(float(place)) for place in range(4)}

    def forward(self, inputs: Tensor, labels: Any = None, mode: str = "tensor") -> Any:
        loss = loss_of(self.network, inputs, labels, self.stamps)
        self.stamps.clear()
        return {"loss": loss, **self.numbers}


class Measure(Hook):
    """Time windows of iterations, each beside one of the bare loop; save a checkpoint after the last of a place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.begun = folder, 0.0
        self.pairs: list[tuple[float, float]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        place = max((each for each in PLACES if each <= runner.iter), default=ITERATIONS)
        done, rest = divmod(runner.iter - place, WINDOW)
        if rest or done > WINDOWS or place == ITERATIONS:
            return
        if done:
            own = 1e6 * (time.process_time() - self.begun) / WINDOW
            stamps = train_bare(WINDOW)
            self.pairs.append((own, 1e6 * (stamps[-1] - stamps[0]) / (WINDOW - 1)))
        if done == WINDOWS:
            over = statistics.median(own - bare for own, bare in self.pairs)
            bare = statistics.median(bare for _, bare in self.pairs)
            saved = runner.save_checkpoint(self.folder, "now.pth")
            print(json.dumps({"at": place, "over": over, "bare": bare, "bytes": saved.stat().st_size}), flush=True)
            self.pairs.clear()
        self.begun = time.process_time()


torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    Runner(
        Net(),
        work_dir=folder,
        train_dataloader=make_loader(),
        train_cfg={"by_epoch": False, "max_iters": ITERATIONS},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
        param_scheduler={"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 100000},
        default_hooks={"checkpoint": {"by_epoch": False, "interval": 10**9}, "logger": {"interval": 10}},
        custom_hooks=[Measure(Path(folder))],
        log_level="ERROR",
    ).train()
