"""A detector over two ranks: one of them may have no object in its images, and all train the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from mimctl.config import Config
from mimctl.engine.lookup.bases import find_base
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.ranks.parallel import wrap_model
from mimctl.engine.ranks.sync_batch_norm import CpuSyncBatchNorm
from mimctl.engine.registry import MODELS
from mimctl.engine.structures import InstanceData
from mimctl.vision.structures import DetDataSample
from tests.engine.ranks import on_ranks

CONFIG = Path(__file__).parents[1] / "mimctl_det" / "configs" / "rtmdet" / "rtmdet_nano.py"
SIZE = 64


def detector() -> Any:
    """Return RTMDet-nano with weights that are always the same."""
    torch.manual_seed(0)
    model_cfg = Config.fromfile(CONFIG, search=find_base).to_dict()["model"]
    model_cfg["backbone"].pop("init_cfg", None)
    with use_scope("det"):
        model: Any = MODELS.build(model_cfg)
    model.init_weights()
    for each in model.bbox_head.rtm_reg:
        nn.init.constant_(each.bias, 1.0)  # boxes of some size, which can be matched
    return model


def batch_of(rank: int, counts: list[list[int]]) -> dict[str, Any]:
    """Return a rank's images, of which each has as many objects as `counts` says."""
    generator = torch.Generator().manual_seed(rank)
    samples = []
    for count in counts[rank]:
        corners = torch.rand(count, 2, generator=generator) * SIZE / 2
        sample = DetDataSample(
            metainfo={"img_shape": (SIZE, SIZE), "batch_input_shape": (SIZE, SIZE), "pad_shape": (SIZE, SIZE)}
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners, corners + 20], dim=1), labels=torch.arange(count) % 3
        )
        samples.append(sample)
    inputs = torch.rand(len(samples), 3, SIZE, SIZE, generator=generator)
    return {"inputs": inputs, "data_samples": samples}


def steps(rank: int, counts: list[list[int]]) -> dict[str, Any]:
    """Do two steps and return losses, the sum of each gradient, and which norms there are."""
    model: Any = wrap_model(detector(), torch.device("cpu")).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    told: dict[str, Any] = {"losses": []}
    for _ in range(2):
        optimizer.zero_grad()
        losses = model(**batch_of(rank, counts), mode="loss")
        loss, values = model.module.parse_losses(losses)
        loss.backward()
        optimizer.step()
        told["losses"].append({name: float(value) for name, value in values.items()})
    told["gradients"] = [float(each.grad.double().sum()) for each in model.parameters() if each.grad is not None]
    told["synced"] = sum(isinstance(each, CpuSyncBatchNorm) for each in model.modules())
    told["others"] = sum(isinstance(each, nn.BatchNorm2d | nn.SyncBatchNorm) for each in model.modules())
    told["statistics"] = [float(each.double().sum()) for name, each in model.named_buffers() if "running" in name]
    return told


def test_a_rank_without_any_object_trains_along() -> None:
    for counts in ([[2, 3], [0, 0]], [[0, 0], [0, 0]]):
        first, second = on_ranks(steps, counts)
        assert first["gradients"] == second["gradients"]
        assert first["statistics"] == second["statistics"], "batch norms are those of both ranks' images"
        assert (first["synced"] > 20, first["others"]) == (True, 0)
        for rank, told in enumerate((first, second)):
            for losses in told["losses"]:
                assert all(0 <= value < 100 for value in losses.values())
                assert (losses["loss_bbox"] > 0) == (sum(counts[rank]) > 0)
