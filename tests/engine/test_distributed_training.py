"""Two ranks train what one process trains with the same global batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mimctl.engine.ranks.parallel import DistributedModel, detect_anomalous_params
from mimctl.errors import ConfigError, MimctlError
from tests.engine.ranked_training import Net, Numbers, Points, assert_close, make_runner, trained, trained_on
from tests.engine.ranks import on_ranks

ACCUMULATING = {"optim": {"accumulative_counts": 3}}
CLIPPING = {"optim": {"clip_grad": {"max_norm": 0.1}}}
WRAPPER = {"type": "MMDistributedDataParallel"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 14},
        {"sync_bn": "torch", "model": {"norm": True}},
        {"sync_bn": "torch", "model": {"norm": True}, "size": 10},
        CLIPPING,
        ACCUMULATING,
        {**ACCUMULATING, "sync_bn": "torch", "model": {"norm": True}},
        {"model": {"idle": True}, "find_unused_parameters": True},
        {"model": {"idle": True}, "model_wrapper_cfg": {**WRAPPER, "find_unused_parameters": True}},
        {"model": {"idle": True}, "model_wrapper_cfg": {**WRAPPER, "static_graph": True}},
        {"model_wrapper_cfg": {"broadcast_buffers": True, "gradient_as_bucket_view": True, "bucket_cap_mb": 1}},
        {"model_wrapper_cfg": {**WRAPPER, "detect_anomalous_params": True}},
        {"optim": {"type": "AmpOptimWrapper", "dtype": "bfloat16"}},
    ],
    ids=str,
)
def test_ranks_train_what_one_process_does(tmp_path: Path, options: dict[str, Any]) -> None:
    first, second = on_ranks(trained_on, str(tmp_path / "ranks"), options)
    assert first == second
    alone = trained(tmp_path / "alone", options)
    assert alone["losses"][0] > alone["losses"][-1]
    assert_close(first, alone, tolerance=2e-2 if "Amp" in str(options) else 1e-5)


def test_a_loss_of_one_rank_alone_is_trained_and_logged(tmp_path: Path) -> None:
    # Unshuffled, rank 0 has the even samples and rank 1 the odd ones, to which the second loss belongs.
    options = {
        "model": {"branch": True},
        "sampler": {"shuffle": False},
        "find_unused_parameters": True,
        "default_hooks": {"logger": {"type": "LoggerHook", "interval": 1}},
    }
    first, second = on_ranks(trained_on, str(tmp_path), options)
    assert first["weights"] == second["weights"]
    start = dict(Net(branch=True).named_parameters())["branch.weight"]
    assert not torch.allclose(torch.tensor(first["weights"]["branch.weight"]), start)
    [scalars] = tmp_path.rglob("scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert len(rows) == 8
    assert all(row["loss_odd"] > 0 and row["loss_plane"] > 0 for row in rows)


def unused(rank: int, folder: str) -> list[Any]:
    """Return what is said where parameters get no gradient and nobody said so."""
    with pytest.raises(MimctlError) as caught:
        make_runner(folder, {"model": {"idle": True}}).train()
    return [caught.value.code, caught.value.causes, caught.value.hints[0]]


def test_parameters_without_a_gradient_are_named(tmp_path: Path) -> None:
    first, second = on_ranks(unused, str(tmp_path))
    assert first == second
    assert first[:2] == ["unused-parameters", ["idle.weight, idle.bias"]]
    assert "find_unused_parameters" in first[2]


def uneven(rank: int, folder: str) -> str:
    """Return what is said where ranks have different numbers of training batches."""
    with pytest.raises(ConfigError) as caught:
        make_runner(folder, {"size": 15, "batch": 2, "sampler": {"round_up": False}}).train()
    return caught.value.message


def test_different_numbers_of_batches_are_refused_before_the_first(tmp_path: Path) -> None:
    assert on_ranks(uneven, str(tmp_path)) == ["the ranks have different numbers of training batches: 8, 7"] * 2


def evaluated(rank: int, folder: str, size: int, sampler: dict[str, Any]) -> dict[str, Any]:
    """Validate, with a log line after each batch, and return the metrics."""
    loader = {
        "dataset": Points(size),
        "sampler": {"type": "DefaultSampler", "shuffle": False, **sampler},
        "batch_size": 1,
    }
    options = {
        "val_dataloader": loader,
        "val_cfg": {},
        "val_evaluator": [Numbers()],
        "default_hooks": {"logger": {"type": "LoggerHook", "interval": 1}},
    }
    return make_runner(folder, options).val()


@pytest.mark.parametrize(("size", "sampler"), [(7, {}), (7, {"round_up": False}), (1, {"round_up": False}), (8, {})])
def test_samples_are_counted_once_however_ranks_share_them(tmp_path: Path, size: int, sampler: dict[str, Any]) -> None:
    first, second = on_ranks(evaluated, str(tmp_path), size, sampler)
    assert first == second
    assert first["numbers"] == list(range(size))


def test_parameters_that_no_loss_depends_on_are_found() -> None:
    model = Net(idle=True, branch=True)
    model.first.weight.requires_grad_(False)
    losses = model([torch.rand(3)], [torch.rand(())], [2], mode="loss")
    loss, _ = model.parse_losses(losses)
    assert detect_anomalous_params(loss, model) == {"idle.weight", "idle.bias", "branch.weight", "branch.bias"}


def test_options_that_ddp_does_not_know_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        DistributedModel(Net(), bucket_cap=1)
    assert caught.value.code == "bad-argument"
    assert "`bucket_cap_mb`" in caught.value.hints[0]
