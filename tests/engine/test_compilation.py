"""`torch.compile` of the training pass: the same training, the same state dict, evaluation as it was."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mimctl.engine.checkpoints.checkpoint import read_checkpoint
from mimctl.engine.compilation import compile_training
from mimctl.errors import ConfigError
from tests.engine.ranks import on_two_ranks


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Forget what was compiled before and after."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Counting:
    """A back end that runs graphs as they are and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            self.calls += 1
            return graph.forward(*arguments)

        return run


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.last(self.first(values).relu())
        return output


def small() -> Small:
    torch.manual_seed(0)
    return Small()


def test_training_pass_is_compiled_and_evaluation_is_not() -> None:
    backend, model = Counting(), small()
    compile_training(model, {"backend": backend})
    model.train()
    compiled = model(torch.ones(2, 3))
    assert backend.calls == 1
    model.eval()
    assert torch.equal(model(torch.ones(2, 3)), compiled)
    assert backend.calls == 1


def test_names_and_copies_stay_as_they_were() -> None:
    backend, model = Counting(), small()
    names = list(model.state_dict())
    compile_training(model, {"backend": backend})
    assert list(model.state_dict()) == names
    assert type(model) is Small
    twin = copy.deepcopy(model)
    twin.train()
    with torch.no_grad():
        twin.first.weight.zero_()
    assert not torch.equal(twin(torch.ones(2, 3)), model.eval()(torch.ones(2, 3)))
    assert backend.calls == 0, "a copy is not compiled"


@pytest.mark.parametrize("options", [None, False])
def test_nothing_is_compiled_unless_it_is_asked_for(options: bool | None) -> None:
    model = small()
    compile_training(model, options)
    assert model._compiled_call_impl is None


@pytest.mark.parametrize(
    ("options", "hint"),
    [({"bakend": "eager"}, "`backend`"), ({"backend": "inducto"}, "`inductor`"), ("eager", "")],
)
def test_wrong_option_is_refused(options: Any, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_training(small(), options)
    assert hint in " ".join(caught.value.hints)


def trained(make_runner: Callable[..., Any], folder: Path, **cfg: Any) -> dict[str, torch.Tensor]:
    """Train with an averaged model and return the last checkpoint's weights, the averaged ones with them."""
    runner = make_runner(cfg=cfg, work_dir=folder, custom_hooks=[{"type": "EMAHook"}])
    runner.train()
    saved = read_checkpoint(folder / "epoch_3.pth")
    averaged = {f"average.{key}": value for key, value in saved["ema_state_dict"].items()}
    return {**saved["state_dict"], **averaged}


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_training_is_the_same_training(backend: str, make_runner: Callable[..., Any], tmp_path: Path) -> None:
    plain = trained(make_runner, tmp_path / "plain")
    counting = Counting()
    chosen = counting if backend == "eager" else backend
    compiled = trained(make_runner, tmp_path / "compiled", compile={"backend": chosen})
    assert list(compiled) == list(plain)
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, msg=name)
    assert backend != "eager" or counting.calls == 9, "one graph in each of nine iterations, none in validations"


def test_checkpoint_of_a_compiled_training_is_resumed_without_and_with(
    make_runner: Callable[..., Any], tmp_path: Path
) -> None:
    whole = trained(make_runner, tmp_path / "whole", compile={"backend": "eager"})
    for cfg in ({}, {"compile": {"backend": "eager"}}):
        folder = tmp_path / f"resumed{len(cfg)}"
        runner = make_runner(
            cfg=cfg, work_dir=folder, resume=str(tmp_path / "whole" / "epoch_2.pth"), custom_hooks=[{"type": "EMAHook"}]
        )
        runner.train()
        weights = read_checkpoint(folder / "epoch_3.pth")["state_dict"]
        assert all(torch.equal(value, whole[name]) for name, value in weights.items())


def gradient_on_ranks(rank: int) -> list[list[float]]:
    torch.compiler.reset()
    model = small()
    compile_training(model, {"backend": "eager"})
    wrapped = nn.parallel.DistributedDataParallel(model).train()
    wrapped(torch.full((1, 3), float(rank + 1))).sum().backward()
    return [param.grad.flatten().tolist() for param in model.parameters()]


def test_ranks_exchange_the_gradients_of_a_compiled_pass() -> None:
    first, second = on_two_ranks(gradient_on_ranks)
    model = small()
    sum(model(torch.full((1, 3), value)).sum() / 2 for value in (1.0, 2.0)).backward()  # type: ignore[union-attr]
    assert first == second
    for found, param in zip(first, model.parameters(), strict=True):
        assert found == pytest.approx(param.grad.flatten().tolist())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler on the CPU")
def test_inductor_trains_within_rounding(make_runner: Callable[..., Any], tmp_path: Path) -> None:
    model, twin = small().train(), small().train()
    compile_training(model, True)
    for each in (model, twin):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            (each(torch.ones(4, 3)) - 1).pow(2).mean().backward()
            optimizer.step()
    for found, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected)
