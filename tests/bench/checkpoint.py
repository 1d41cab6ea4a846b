"""What saving the whole state costs beside `torch.save` of the same tensors, and what its parts weigh.

python tests/bench/checkpoint.py [SAVES]

RTMDet-tiny with its optimizer's state and averaged weights, read by a pipeline with cached mosaic (40 pictures) and
mix-up (20). The saves take turns, so that a slow moment of the disk hits all alike.
"""

from __future__ import annotations

import io
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mimctl.config import Config
from mimctl.engine.data import BaseDataset
from mimctl.engine.runner import Runner
from mimctl.engine.running.state import collect_state

CONFIG = Path(__file__).parents[2] / "plugins/det/mimctl_det/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py"


class Pictures(BaseDataset):
    """Small pictures with a box each, without files."""

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{} for _ in range(500)]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        return {
            "img": np.full((32, 32, 3), int(idx) % 256, np.uint8),
            "img_shape": (32, 32),
            "gt_bboxes": np.array([[2, 2, 20, 20]], np.float32),
            "gt_bboxes_labels": np.array([1]),
            "gt_ignore_flags": np.zeros(1, bool),
        }


def trained(folder: Path) -> Runner:
    """Return a runner in the middle of a training: every part of its state is there, nothing was computed."""
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict({"model.backbone.init_cfg": None})
    mixing = [
        {"type": "CachedMosaic", "img_scale": (32, 32), "max_cached_images": 40},
        {"type": "CachedMixUp", "img_scale": (64, 64), "ratio_range": (1.0, 1.0), "max_cached_images": 20},
    ]
    runner = Runner(
        model=cfg.model,
        work_dir=folder,
        default_scope="det",
        train_dataloader={
            "dataset": Pictures(pipeline=mixing),
            "sampler": {"type": "InfiniteSampler"},
            "batch_size": 4,
            "collate_fn": list,
        },
        train_cfg={"by_epoch": False, "max_iters": 1000},
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler[:1],
        custom_hooks=[{"type": "EMAHook", "ema_type": "ExpMomentumEMA", "update_buffers": True}],
        log_level="WARNING",
    )
    runner.mode = "train"
    runner.call_hook("before_run")
    for _ in itertools.islice(runner.train_loop.feed.batches(), 50):
        pass
    for parameter in runner.model.parameters():
        parameter.grad = torch.rand_like(parameter)
    runner.optim_wrapper.step()
    return runner


def taken_ms(save: Callable[[], object]) -> tuple[float, float]:
    """Return the elapsed time and the CPU time of one save in ms."""
    start, busy = time.perf_counter(), time.process_time()
    save()
    return 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - busy)


def weight(value: Any) -> int:
    """Return how many bytes a part of a checkpoint takes in a file of its own."""
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.tell()


def main() -> None:
    """Print the medians, their ratios and the parts."""
    saves = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        runner = trained(folder)
        content = collect_state(runner)
        runner.call_hook("before_save_checkpoint", checkpoint=content)

        def plain() -> None:
            torch.save(content, folder / "plain.pth")

        def synced() -> None:
            with (folder / "synced.pth").open("wb") as stream:
                torch.save(content, stream)
                stream.flush()
                os.fsync(stream.fileno())

        kinds: dict[str, Callable[[], object]] = {
            "torch.save": plain,
            "torch.save and fsync": synced,
            "collecting the state": lambda: collect_state(runner),
            "runner.save_checkpoint": lambda: runner.save_checkpoint(folder, "ours.pth"),
        }
        samples: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(saves):
            for kind, save in kinds.items():
                samples[kind].append(taken_ms(save))
        medians = {
            kind: [statistics.median(each) for each in zip(*held, strict=True)] for kind, held in samples.items()
        }
        for kind, (elapsed, busy) in medians.items():
            ratios = [now / base for now, base in zip((elapsed, busy), medians["torch.save"], strict=True)]
            print(f"{kind:24} {elapsed:7.1f} ms {ratios[0]:5.2f}x   CPU {busy:7.1f} ms {ratios[1]:5.2f}x")
        print(f"{'whole file':24} {(folder / 'ours.pth').stat().st_size / 1e6:10.2f} MB")
        for key in content:
            print(f"  {key:22} {weight(content[key]) / 1e6:10.3f} MB")


if __name__ == "__main__":
    main()
