"""Optimizer wrappers and parameter groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mimctl.engine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mimctl.engine.optim.scale_lr import scale_lr
from mimctl.engine.registry import OPTIMIZERS
from mimctl.errors import ConfigError


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


def test_amp_on_the_cpu_computes_in_bfloat16() -> None:
    model = nn.Linear(4, 4)
    wrapper = build_optim_wrapper(
        model, {"type": "AmpOptimWrapper", "loss_scale": "dynamic", "optimizer": {"type": "SGD", "lr": 0.1}}
    )
    assert isinstance(wrapper, AmpOptimWrapper)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(before, model.weight)
    wrapper.load_state_dict(wrapper.state_dict())


def test_learning_rate_is_scaled_with_the_batch_size() -> None:
    wrapper = build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": "SGD", "lr": 0.1}})
    assert scale_lr(wrapper, {"enable": True, "base_batch_size": 16}, 4) == 0.25
    assert wrapper.get_lr()["lr"] == [pytest.approx(0.025)]
    assert scale_lr(wrapper, {"base_batch_size": 16}, 4) == 1.0
    with pytest.raises(ConfigError, match="base_batch_size"):
        scale_lr(wrapper, {"enable": True}, 4)
    with pytest.raises(ConfigError, match="enabled"):
        scale_lr(wrapper, {"enabled": True}, 4)


def test_several_optimizers_join_their_state() -> None:
    parts = {name: OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)) for name, lr in
             (("g", 0.1), ("d", 0.2))}  # fmt: skip
    joined = build_optim_wrapper(nn.Linear(1, 1), parts)
    assert isinstance(joined, OptimWrapperDict)
    assert joined.get_lr() == {"g.lr": [0.1], "d.lr": [0.2]}
    assert set(joined.state_dict()) == {"g", "d"}
