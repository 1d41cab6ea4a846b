"""Mixed precision: what the forward pass computes in, how losses are scaled, one word for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mimctl.engine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from mimctl.engine.optim.precision import with_precision
from mimctl.errors import ConfigError


def wrapper_of(model: nn.Module, **options: Any) -> AmpOptimWrapper:
    cfg = {"type": "AmpOptimWrapper", "optimizer": {"type": "SGD", "lr": 0.125}, **options}
    wrapper = build_optim_wrapper(model, cfg)
    assert isinstance(wrapper, AmpOptimWrapper)
    return wrapper


def gradient_of(param: nn.Parameter, values: list[float], wrapper: AmpOptimWrapper) -> list[float]:
    """Step on the loss whose gradient is `values`; return what the parameter moved by, in learning rates."""
    before = param.detach().clone()
    wrapper.update_params((param * torch.tensor(values)).sum())
    return ((before - param.detach()) / 0.125).tolist()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (None, torch.bfloat16),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
        (torch.bfloat16, torch.bfloat16),
    ],
)
def test_forward_pass_computes_in_its_precision_and_parameters_stay(dtype: Any, expected: torch.dtype) -> None:
    model = nn.Linear(4, 4)
    wrapper = wrapper_of(model, dtype=dtype, loss_scale=8.0)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == expected
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(before, model.weight)
    assert wrapper.loss_scaler.is_enabled() == (expected == torch.float16)


def test_scaled_losses_make_the_same_step() -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(2))])
    assert gradient_of(model[0], [3.0, 4.0], wrapper_of(model, dtype="float16")) == [3.0, 4.0]


def test_gradients_are_clipped_after_the_scale_is_taken_off() -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(2))])
    wrapper = wrapper_of(model, dtype="float16", clip_grad={"max_norm": 1.0})
    assert gradient_of(model[0], [3.0, 4.0], wrapper) == pytest.approx([0.6, 0.8], rel=1e-5)
    assert float(wrapper.last_grad_norm or 0) == pytest.approx(5.0)


def test_step_that_overflows_is_left_out_and_lowers_the_scale() -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(2))])
    wrapper = wrapper_of(model, dtype="float16", loss_scale={"init_scale": 4.0, "growth_interval": 2})
    assert gradient_of(model[0], [float("inf"), 1.0], wrapper) == [0.0, 0.0]
    assert wrapper.loss_scaler.get_scale() == 2.0
    for _ in range(2):
        gradient_of(model[0], [1.0, 1.0], wrapper)
    assert wrapper.loss_scaler.get_scale() == 4.0


def test_scale_that_is_a_number_stays() -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(2))])
    wrapper = wrapper_of(model, dtype="float16", loss_scale=512.0)
    for values in ([1.0, 1.0], [float("inf"), 1.0], [1.0, 1.0]):
        gradient_of(model[0], values, wrapper)
        assert wrapper.loss_scaler.get_scale() == 512.0


def test_state_of_the_scale_is_kept() -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(2))])
    wrapper = wrapper_of(model, dtype="float16", loss_scale={"init_scale": 4.0, "growth_interval": 3})
    gradient_of(model[0], [float("inf"), 1.0], wrapper)
    gradient_of(model[0], [1.0, 1.0], wrapper)
    other = wrapper_of(model, dtype="float16")
    other.load_state_dict(wrapper.state_dict())
    assert other.loss_scaler.state_dict() == wrapper.loss_scaler.state_dict()
    assert other.loss_scaler.get_scale() == 2.0
    plain = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0))
    plain.load_state_dict(wrapper.state_dict())
    assert plain.get_lr() == {"lr": [0.125]}


@pytest.mark.parametrize(
    "options", [{"dtype": "float8"}, {"loss_scale": "static"}, {"loss_scale": -1}, {"use_fsdp": True}]
)
def test_wrong_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        wrapper_of(nn.Linear(1, 1), **options)


OPTIMIZER = {"type": "SGD", "lr": 0.1}


@pytest.mark.parametrize(
    ("word", "cfg", "expected"),
    [
        (None, {"type": "AmpOptimWrapper"}, {"type": "AmpOptimWrapper"}),
        ("bf16-mixed", {}, {"type": "AmpOptimWrapper", "dtype": "bfloat16"}),
        (
            "16-mixed",
            {"type": "AmpOptimWrapper", "loss_scale": 512.0, "dtype": "bfloat16"},
            {"type": "AmpOptimWrapper", "loss_scale": 512.0, "dtype": "float16"},
        ),
        ("32", {"type": "AmpOptimWrapper", "loss_scale": "dynamic", "dtype": "float16"}, {"type": "OptimWrapper"}),
        (32, {"type": "mmengine.OptimWrapper"}, {"type": "OptimWrapper"}),
    ],
)
def test_one_word_chooses_wrapper_and_dtype(word: Any, cfg: dict[str, Any], expected: dict[str, Any]) -> None:
    assert with_precision({"optimizer": OPTIMIZER, **cfg}, word) == {"optimizer": OPTIMIZER, **expected}


@pytest.mark.parametrize(
    ("word", "cfg", "hint"),
    [
        ("bf16-mix", {"optimizer": OPTIMIZER}, "`bf16-mixed`"),
        ("fp8", {"optimizer": OPTIMIZER}, ""),
        ("32", {"type": "ApexOptimWrapper", "optimizer": OPTIMIZER}, "leave `precision` out"),
    ],
)
def test_precision_that_cannot_be_had_is_refused(word: str, cfg: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_precision(cfg, word)
    assert hint in " ".join(caught.value.hints)


def test_config_of_a_run_says_its_precision_in_one_word(make_runner: Callable[..., Any]) -> None:
    runner = make_runner(cfg={"precision": "bf16-mixed"})
    assert isinstance(runner.optim_wrapper, AmpOptimWrapper)
    assert runner.optim_wrapper.dtype == torch.bfloat16
    runner.train()
    assert runner.iter == 9
