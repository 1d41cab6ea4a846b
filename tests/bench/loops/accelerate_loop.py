"""A loop of one's own with Accelerate around model, optimizer and data."""

from __future__ import annotations

from accelerate import Accelerator
from task import Stamps, compare, loss_of, make_loader, make_network, make_optimizer


def train(iterations: int) -> Stamps:
    stamps: Stamps = []
    accelerator = Accelerator(cpu=True)
    network = make_network()
    network, optimizer, loader = accelerator.prepare(network, make_optimizer(network), make_loader())
    while True:
        for inputs, labels in loader:
            loss = loss_of(network, inputs, labels, stamps)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            if len(stamps) == iterations:
                return stamps


compare(train)
