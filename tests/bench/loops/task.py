"""The task of all loops that are compared: a tiny MLP, its data, a bare PyTorch loop, and how time is taken.

Run by the interpreters of other environments, so it imports torch alone. The model notes the CPU time of the process
when a forward pass begins; an iteration lasts from one to the next, whoever calls it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH_SIZE, EPOCH, WARM_UP = 32, 500, 100
Stamps = list[float]


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Random vectors (64) of ten classes."""

    def __init__(self, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.rand(size, 64, generator=generator)
        self.labels = torch.randint(0, 10, (size,), generator=generator)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.labels[index]


def make_network() -> nn.Module:
    """Return the tiny MLP."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


def make_loader() -> DataLoader[tuple[Tensor, Tensor]]:
    """Return the loader of `EPOCH` batches, in this process."""
    return DataLoader(Samples(EPOCH * BATCH_SIZE), batch_size=BATCH_SIZE, shuffle=True)


def make_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer."""
    return torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)


def loss_of(network: nn.Module, inputs: Tensor, labels: Tensor, stamps: Stamps) -> Tensor:
    """Return the loss of a batch and note when it was asked for."""
    stamps.append(time.process_time())
    return F.cross_entropy(network(inputs), labels)


def train_bare(iterations: int) -> Stamps:
    """Train without any framework."""
    stamps: Stamps = []
    network, loader = make_network(), make_loader()
    optimizer = make_optimizer(network)
    while True:
        for inputs, labels in loader:
            loss = loss_of(network, inputs, labels, stamps)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if len(stamps) == iterations:
                return stamps


def mean_us(stamps: Stamps) -> float:
    """Return the mean time of an iteration after the first ones, in µs."""
    return 1e6 * (stamps[-1] - stamps[WARM_UP]) / (len(stamps) - 1 - WARM_UP)


def least_us(stamps: Stamps, window: int = 100) -> float:
    """Return the least mean time of an iteration in a window of some after the first ones, in µs."""
    ends = range(WARM_UP + window, len(stamps), window)
    return min(1e6 * (stamps[end] - stamps[end - window]) / window for end in ends)


def compare(train: Callable[[int], Stamps]) -> None:
    """Print as JSON what an iteration takes in the bare loop, and in `train` more (µs).

    `over` is the median of the rounds, `least` the difference between the quickest windows of all rounds, which others
    on the machine disturb least.
    """
    torch.set_num_threads(1)
    rounds, iterations = int(sys.argv[1]), int(sys.argv[2])
    train_bare(2 * WARM_UP)
    train(2 * WARM_UP)
    runs = []
    for _ in range(rounds):  # interleaved, so that a slow moment hits both alike
        runs.append((train_bare(iterations), train(iterations)))
    bare = statistics.median(mean_us(each) for each, _ in runs)
    over = statistics.median(mean_us(own) - mean_us(bare) for bare, own in runs)
    quickest = min(least_us(each) for each, _ in runs)
    least = min(least_us(each) for _, each in runs) - quickest
    print(json.dumps({"bare": bare, "over": over, "least": least, "quickest": quickest}))
