"""The class names of published data sets; needs no torch."""

from __future__ import annotations

from pathlib import Path

MNIST = (
    "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight",
    "9 - nine",
)  # fmt: skip
FASHION_MNIST = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def listed(name: str) -> tuple[str, ...]:
    """Return the names in one of the lists beside this file: `imagenet` (1,000) or `cifar100`."""
    return tuple((Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines())
