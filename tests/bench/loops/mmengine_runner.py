"""MMEngine's Runner, with its default hooks (`default`) or with none of those that may be left out (`none`)."""

from __future__ import annotations

import logging
import sys
import tempfile
from typing import Any

from mmengine.model import BaseModel
from mmengine.runner import Runner
from task import Stamps, compare, loss_of, make_loader, make_network
from torch import Tensor

KIND = sys.argv[3]
NONE = dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"))
count = 0


class Net(BaseModel):
    """The network with its loss."""

    def __init__(self, stamps: Stamps) -> None:
        super().__init__()
        self.network, self.stamps = make_network(), stamps

    def forward(self, inputs: Tensor, labels: Any = None, mode: str = "tensor") -> Any:
        return {"loss": loss_of(self.network, inputs, labels, self.stamps)}


def train(iterations: int) -> Stamps:
    global count
    count += 1  # its runs of one process must not share a name
    stamps: Stamps = []
    with tempfile.TemporaryDirectory() as folder:
        Runner(
            Net(stamps),
            work_dir=folder,
            train_dataloader=make_loader(),
            train_cfg={"by_epoch": False, "max_iters": iterations},
            optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
            param_scheduler={"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 100000},
            default_hooks=NONE
            if KIND == "none"
            else {"checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": 10**9, "save_last": False}},
            experiment_name=f"bench{count}",
            log_level="ERROR",
        ).train()
        logging.shutdown()
    return stamps


compare(train)
