"""A model that is split over two ranks trains, is saved and resumed as a whole one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mimctl.engine.ranks.sharded import ShardedModel
from mimctl.errors import ConfigError
from tests.engine.ranked_training import Net, assert_close, make_runner, resumed_on, trained, trained_on
from tests.engine.ranks import on_ranks

SPLIT = {"model_wrapper_cfg": {"type": "ShardedModel"}}
ADAM = {"optim": {"optimizer": {"type": "AdamW", "lr": 0.05}}}


@pytest.mark.parametrize(
    "options",
    [
        {"model_wrapper_cfg": {"type": "MMFullyShardedDataParallel", "cpu_offload": True, "use_orig_params": True}},
        {
            "model_wrapper_cfg": {
                "type": "ShardedModel",
                "sharding_strategy": "SHARD_GRAD_OP",
                "auto_wrap_policy": {"type": "module_wrap_policy", "module_classes": ["Linear"]},
            }
        },
        {
            "model_wrapper_cfg": {
                "type": "ShardedModel",
                "auto_wrap_policy": {"type": "size_based_auto_wrap_policy", "min_num_params": 20},
            }
        },
        {**SPLIT, "optim": {"clip_grad": {"max_norm": 0.1}}},
        {**SPLIT, "optim": {"accumulative_counts": 3}},
        {**SPLIT, **ADAM, "model": {"idle": True}},
        {**SPLIT, "sync_bn": "torch", "model": {"norm": True}, "size": 10},
        {**SPLIT, "optim": {"type": "AmpOptimWrapper", "dtype": "bfloat16"}},
        {"model_wrapper_cfg": {**SPLIT["model_wrapper_cfg"], "mixed_precision": {"param_dtype": "bfloat16"}}},
    ],
    ids=str,
)
def test_a_split_model_trains_what_a_whole_one_does(tmp_path: Path, options: dict[str, Any]) -> None:
    first, second = on_ranks(trained_on, str(tmp_path / "ranks"), options)
    assert first == second
    assert_close(first, trained(tmp_path / "alone", options), tolerance=3e-2 if "bfloat16" in str(options) else 1e-5)


@pytest.mark.parametrize("options", [ADAM, {"optim": {"accumulative_counts": 3}}], ids=str)
@pytest.mark.parametrize("wrapper", [{}, SPLIT], ids=str)
def test_resume_is_exact_and_checkpoints_are_whole(
    tmp_path: Path, options: dict[str, Any], wrapper: dict[str, Any]
) -> None:
    found, _ = on_ranks(resumed_on, str(tmp_path / "ranks"), {**options, **wrapper})
    assert found["whole"]["weights"] == found["rest"]["weights"]
    assert found["whole"]["losses"][-len(found["rest"]["losses"]) :] == found["rest"]["losses"]
    assert found["kinds"] == ["Tensor"]
    bare = Net()
    assert found["shapes"] == {name: list(each.shape) for name, each in bare.state_dict().items()}
    shapes = [list(each.shape) for each in bare.parameters()]
    for number, moments in found["moments"].items():
        assert moments[-1] == shapes[int(number)]


def test_one_process_goes_on_with_a_checkpoint_of_a_split_model(tmp_path: Path) -> None:
    options = {**SPLIT, **ADAM}
    found, _ = on_ranks(resumed_on, str(tmp_path / "ranks"), options)
    alone = trained(tmp_path / "alone", {**options, "resume": str(tmp_path / "ranks" / "epoch_1.pth")})
    assert_close({**alone, "norms": []}, {**found["rest"], "norms": []})


def different_starts(rank: int, folder: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return this rank's weights before the first step; each rank has drawn others."""
    torch.manual_seed(rank)
    own = {"model": {"start": "other"}, "randomness": {"seed": 3, "diff_rank_seed": True}, "max_epochs": 0}
    return trained(folder, {**options, **own})


@pytest.mark.parametrize("options", [{}, SPLIT], ids=str)
def test_all_ranks_start_with_the_weights_of_the_first(tmp_path: Path, options: dict[str, Any]) -> None:
    first, second = on_ranks(different_starts, str(tmp_path), options)
    assert first == second


def refused(rank: int, folder: str) -> list[str]:
    """Return what is said of a moving average, and of options that mean nothing here."""
    told = []
    average = {"custom_hooks": [{"type": "EMAHook"}], **SPLIT}
    with pytest.raises(ConfigError) as caught:
        make_runner(folder, average).train()
    told.append(caught.value.message)
    for options in (
        {"sharding_strategy": "HYBRID_SHARD"},
        {"auto_wrap_policy": "my_policy"},
        {"mixed_precision": {"buffer_dtype": "float32"}},
        {"use_orig_params": False},
        {"backward_prefetch": "BACKWARD_POST"},
    ):
        with pytest.raises(ConfigError) as caught:
            ShardedModel(Net(), **options)  # type: ignore[arg-type]
        told.append(caught.value.message)
    return told


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    first, second = on_ranks(refused, str(tmp_path))
    assert first == second
    words = ["averaged", "HYBRID_SHARD", "my_policy", "buffer_dtype", "use_orig_params", "BACKWARD_POST"]
    assert [word for word, each in zip(words, first, strict=True) if word not in each] == []
