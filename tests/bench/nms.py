"""Compiled nms against the pure-PyTorch twin, one thread, the same boxes: CPU time per call, median of several.

python tests/bench/nms.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from mimctl_ops import build_info, nms, reference


def boxes_of(count: int, side: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `count` boxes of 10 to 60 pixels in a picture of `side` pixels, with scores."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * side
    size = 10 + 50 * torch.rand(count, 2, generator=generator)
    return torch.cat([corner, corner + size], dim=1), torch.rand(count, generator=generator)


def median_ms(call: Callable[[], object], times: int) -> float:
    """Return the median CPU time in ms of `times` calls after one to warm up."""
    call()
    taken = []
    for _ in range(times):
        start = time.process_time()
        call()
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken)


def main() -> None:
    """Print a line per case."""
    torch.set_num_threads(1)
    print(build_info())
    for name, count, side in (("1k", 1000, 1000), ("10k sparse", 10000, 8000), ("10k crowded", 10000, 1000)):
        boxes, scores = boxes_of(count, side)
        assert torch.equal(nms(boxes, scores, 0.5), reference.nms(boxes, scores, 0.5))
        fast = median_ms(lambda b=boxes, s=scores: nms(b, s, 0.5), 20)
        slow = median_ms(lambda b=boxes, s=scores: reference.nms(b, s, 0.5), 5)
        print(f"{name:12} compiled {fast:8.2f} ms   pure {slow:8.2f} ms   {slow / fast:6.1f}x")


if __name__ == "__main__":
    main()
