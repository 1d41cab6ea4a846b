"""Lightning's Trainer: as it is (`default`), or without all that it offers (`barebones`)."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from typing import Any

import lightning
import torch
from task import Stamps, compare, loss_of, make_loader, make_network, make_optimizer
from torch import Tensor

KIND = sys.argv[3]
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.simplefilter("ignore")


class Net(lightning.LightningModule):
    """The network with its loss."""

    def __init__(self, stamps: Stamps) -> None:
        super().__init__()
        self.network, self.stamps = make_network(), stamps

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = loss_of(self.network, *batch, self.stamps)
        if KIND == "default":
            self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.network)


def train(iterations: int) -> Stamps:
    stamps: Stamps = []
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"barebones": True} if KIND == "barebones" else {"default_root_dir": folder}
        trainer = lightning.Trainer(accelerator="cpu", max_steps=iterations, **options)
        trainer.fit(Net(stamps), make_loader())
    return stamps


compare(train)
