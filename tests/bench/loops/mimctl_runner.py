"""Our Runner: `default` hooks, `none`, or `data`: default hooks, and the loader made from a config as well."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from task import BATCH_SIZE, EPOCH, Samples, Stamps, compare, loss_of, make_loader, make_network
from torch import Tensor

from mimctl.engine.model import BaseModel
from mimctl.engine.runner import Runner

KIND = sys.argv[3]


class Net(BaseModel):
    """The network with its loss."""

    def __init__(self, stamps: Stamps) -> None:
        super().__init__()
        self.network, self.stamps = make_network(), stamps

    def forward(self, inputs: Tensor, labels: Any = None, mode: str = "tensor") -> Any:
        return {"loss": loss_of(self.network, inputs, labels, self.stamps)}


def train(iterations: int) -> Stamps:
    stamps: Stamps = []
    loader: Any = make_loader()
    if KIND == "data":
        loader = {
            "dataset": Samples(EPOCH * BATCH_SIZE),
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "batch_size": BATCH_SIZE,
            "collate_fn": {"type": "default_collate"},
        }
    with tempfile.TemporaryDirectory() as folder:
        Runner(
            Net(stamps),
            work_dir=folder,
            train_dataloader=loader,
            train_cfg={"by_epoch": False, "max_iters": iterations},
            optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
            param_scheduler={"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 100000},
            default_hooks={} if KIND == "none" else {"checkpoint": {"by_epoch": False, "interval": 10**9}},
            log_level="ERROR",
        ).train()
    return stamps


compare(train)
