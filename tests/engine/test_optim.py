"""Optimizer wrappers and parameter groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mimctl.engine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mimctl.engine.optim.scale_lr import scale_lr
from mimctl.engine.registry import OPTIMIZERS, PARAM_SCHEDULERS
from mimctl.errors import ConfigError, MimctlError
from tests.engine.ranks import on_two_ranks


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adafactor"])
def test_every_torch_optimizer_is_known(name: str) -> None:
    model = nn.Linear(2, 1)
    wrapper = build_optim_wrapper(model, {"optimizer": {"type": name, "lr": 0.1}})
    before = model.weight.detach().clone()
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    assert not torch.equal(before, model.weight)


def test_unknown_optimizer_shows_near_names() -> None:
    with pytest.raises(ConfigError, match="unknown optimizer `AdmW`") as caught:
        OPTIMIZERS.build({"type": "AdmW", "params": []})
    assert any("`AdamW`" in hint for hint in caught.value.hints)


def test_accumulated_steps_equal_one_large_batch() -> None:
    data = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    weights = []
    for accumulate, parts in ((1, [data]), (3, list(data.split(2)))):
        model = nn.Linear(2, 1)
        nn.init.ones_(model.weight)
        nn.init.zeros_(model.bias)
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=accumulate)
        for part in parts:
            with wrapper.optim_context(model):
                loss = model(part).pow(2).mean()
            wrapper.update_params(loss)
        weights.append(model.weight.detach())
    assert torch.allclose(weights[0], weights[1])


def test_last_shorter_group_is_scaled_by_its_own_length() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=3)
    wrapper.initialize_count_status(model, 0, 4)
    moved = []
    for _ in range(4):
        wrapper.update_params(model(torch.ones(1, 1)).sum())
        moved.append(model.weight.item())
    assert moved == pytest.approx([0.0, 0.0, -1.0, -2.0])


def test_gradients_are_clipped_by_norm_and_by_value() -> None:
    for clip, expected in (({"max_norm": 1.0}, 0.6), ({"type": "value", "clip_value": 0.5}, 0.5)):
        param = nn.Parameter(torch.zeros(2))
        wrapper = OptimWrapper(torch.optim.SGD([param], lr=1.0), clip_grad=clip)
        wrapper.update_params((param * torch.tensor([3.0, 4.0])).sum())
        assert -param[0].item() == pytest.approx(expected)
    assert wrapper.last_grad_norm is None


def test_gradient_norm_is_kept_for_the_log() -> None:
    param = nn.Parameter(torch.zeros(2))
    wrapper = OptimWrapper(torch.optim.SGD([param], lr=1.0), clip_grad={"max_norm": 1.0})
    wrapper.update_params((param * torch.tensor([3.0, 4.0])).sum())
    assert float(wrapper.last_grad_norm) == pytest.approx(5.0)


def test_wrong_clip_option_is_refused() -> None:
    param = nn.Parameter(torch.zeros(1))
    with pytest.raises(ConfigError, match="max_nrm"):
        OptimWrapper(torch.optim.SGD([param], lr=1.0), clip_grad={"max_nrm": 1.0})


def test_learning_rate_is_scaled_with_the_batch_size() -> None:
    wrapper = build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": "SGD", "lr": 0.1}})
    assert scale_lr(wrapper, {"enable": True, "base_batch_size": 16}, 4) == 0.25
    assert wrapper.get_lr()["lr"] == [pytest.approx(0.025)]
    assert scale_lr(wrapper, {"base_batch_size": 16}, 4) == 1.0
    with pytest.raises(ConfigError, match="base_batch_size"):
        scale_lr(wrapper, {"enable": True}, 4)
    with pytest.raises(ConfigError, match="enabled"):
        scale_lr(wrapper, {"enabled": True}, 4)


def test_accumulated_iterations_count_for_the_batch_size() -> None:
    cfg = {"optimizer": {"type": "SGD", "lr": 0.1}, "accumulative_counts": 4}
    wrapper = build_optim_wrapper(nn.Linear(1, 1), cfg)
    assert scale_lr(wrapper, {"enable": True, "base_batch_size": 16}, 8) == 2.0
    assert wrapper.get_lr()["lr"] == [pytest.approx(0.2)]


def test_groups_and_the_base_rate_are_scaled_alike() -> None:
    rules = {"custom_keys": {"bias": {"lr_mult": 0.1}}}
    wrapper = build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": "SGD", "lr": 1.0}, "paramwise_cfg": rules})
    scale_lr(wrapper, {"enable": True, "base_batch_size": 4}, 2)
    assert wrapper.get_lr() == {"lr": [0.5, 0.05], "base_lr": [0.5]}


def test_each_of_several_optimizers_is_scaled_by_what_it_accumulates() -> None:
    wrappers = OptimWrapperDict(
        g=OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1), accumulative_counts=2),
        d=OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)),
    )
    scale_lr(wrappers, {"enable": True, "base_batch_size": 8}, 8)
    assert wrappers.get_lr() == {"g.lr": [0.2], "d.lr": [0.2]}


def test_scheduled_rates_are_not_scaled_any_more() -> None:
    wrapper = build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": "SGD", "lr": 0.1}})
    PARAM_SCHEDULERS.build({"type": "ConstantLR"}, optimizer=wrapper)
    with pytest.raises(ConfigError, match="after a scheduler has taken it"):
        scale_lr(wrapper, {"enable": True, "base_batch_size": 16}, 4)


def test_floor_of_a_schedule_stays_where_the_rate_is_scaled() -> None:
    wrapper = build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": "SGD", "lr": 0.1}})
    scale_lr(wrapper, {"enable": True, "base_batch_size": 1}, 2)
    cosine = PARAM_SCHEDULERS.build({"type": "CosineAnnealingLR", "T_max": 3, "eta_min": 0.01}, optimizer=wrapper)
    found = wrapper.get_lr()["lr"]
    for _ in range(3):
        cosine.step()
    assert [*found, *wrapper.get_lr()["lr"]] == pytest.approx([0.2, 0.01])


def exchanges_by_iteration(rank: int) -> list[bool]:
    """Train with three losses a step on two ranks; return for each iteration whether the gradients became equal."""
    model = nn.parallel.DistributedDataParallel(nn.Linear(1, 1, bias=False))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0), accumulative_counts=3)
    wrapper.initialize_count_status(model, 0, 5)
    wrapper.zero_grad = lambda **_: None  # type: ignore[method-assign]
    found = []
    for _ in range(5):
        with wrapper.optim_context(model):
            loss = model(torch.full((1, 1), float(rank + 1))).sum()
        wrapper.update_params(loss)
        [param] = model.parameters()
        grads = [torch.zeros(1, 1), torch.zeros(1, 1)]
        torch.distributed.all_gather(grads, param.grad)
        found.append(bool(torch.equal(grads[0], grads[1])))
        if wrapper.should_update():
            param.grad = None
    return found


def test_gradients_are_exchanged_where_a_step_follows_and_nowhere_else() -> None:
    assert on_two_ranks(exchanges_by_iteration) == ([False, False, True, False, True],) * 2


def two_wrappers() -> OptimWrapperDict:
    made = {
        name: OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr), accumulative_counts=2)
        for name, lr in (("g", 0.1), ("d", 0.2))
    }
    joined = build_optim_wrapper(nn.Linear(1, 1), made)
    assert isinstance(joined, OptimWrapperDict)
    return joined


def test_several_optimizers_join_their_state() -> None:
    joined, other = two_wrappers(), two_wrappers()
    assert joined.get_lr() == {"g.lr": [0.1], "d.lr": [0.2]}
    assert set(joined.state_dict()) == {"g", "d"}
    [param] = joined["d"].param_groups[0]["params"]
    joined["d"].update_params((param * 3.0).sum())
    other.load_state_dict(joined.state_dict())
    assert (other["g"].inner_count, other["d"].inner_count) == (0, 1)
    [resumed] = other["d"].param_groups[0]["params"]
    for wrapper, each in ((joined["d"], param), (other["d"], resumed)):
        wrapper.update_params((each * 5.0).sum())
    assert resumed.item() == param.item() == pytest.approx(-0.2 * 4.0)


def test_what_only_the_model_can_do_is_refused_for_several_optimizers() -> None:
    joined = two_wrappers()
    for call in (joined.update_params, joined.backward):
        with pytest.raises(NotImplementedError, match="optim_wrapper"):
            call(torch.zeros(1))
    with pytest.raises(MimctlError, match="no optimizer `generator`"):
        joined["generator"]
    with pytest.raises(TypeError, match="must be an OptimWrapper"):
        OptimWrapperDict(g=torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1))  # type: ignore[arg-type]


def test_run_scales_its_rate_by_the_samples_of_a_step(make_runner: Callable[..., Any]) -> None:
    runner = make_runner(
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}, "accumulative_counts": 3},
        auto_scale_lr={"enable": True, "base_batch_size": 24},
        param_scheduler=[{"type": "CosineAnnealingLR", "eta_min": 0.01}],
    )
    runner.train()
    assert runner.param_schedulers[0].base_values == [pytest.approx(0.1 * 4 * 3 / 24)]
    assert runner.optim_wrapper.get_lr()["lr"] == [pytest.approx(0.01 + 0.04 * 0.25)], "two thirds of the cosine"
