"""Averages of a model's weights over training: plain mean and moving averages.

The formulas: stochastic weight averaging (Izmailov et al. 2018), exponential moving average
`avg = (1 - momentum) * avg + momentum * weights`, its momentum annealed at the start.
"""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn

from mimctl.engine.ranks.split_tensors import has_split_parameters
from mimctl.engine.registry import MODELS
from mimctl.errors import ConfigError


class BaseAveragedModel(nn.Module):
    """Keep an averaged copy of a model in `module`; `update_parameters` takes the next weights in.

    `interval`: every how many calls the average moves (1 or more). `update_buffers`: buffers are averaged too (floating
    point ones; others are copied), else copied from the model.
    """

    steps: Tensor

    def __init__(
        self,
        model: nn.Module,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__()
        if has_split_parameters(model):
            raise ConfigError(
                "a model that is split over the ranks cannot be averaged: its copy would not be split",
                code="bad-argument",
                hints=["leave out the EMAHook, or `model_wrapper_cfg`"],
            )
        self.module: nn.Module = deepcopy(model).requires_grad_(False)
        self.interval = interval
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("steps", torch.tensor(0, dtype=torch.long))
        self.update_buffers = update_buffers
        # Walking a model's tensors costs more than averaging them: the walk over the last model is kept.
        self._walked: tuple[int, list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]] | None = None

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Move one averaged tensor towards its source, in place; `steps` counts the updates before this one.

        A subclass defines this or `share_of`, which moves all tensors at once.
        """
        averaged_param.lerp_(source_param, self.share_of(steps))

    def share_of(self, steps: int) -> float:
        """Return the share of the new weights in the average after `steps` updates."""
        raise NotImplementedError

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        # The counter stays on the CPU, so that reading it never waits for a device.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._walked = None
        self.steps = self.steps.cpu()
        return self

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights of `model` into the average."""
        steps = int(self.steps)
        if self._walked is None or self._walked[0] != id(model):
            self._walked = (id(model), *self._walk(model))
        _, averaged, source, copied = self._walked
        source = [new.to(held.device) for held, new in zip(averaged, source, strict=True)]
        if steps == 0:
            torch._foreach_copy_(averaged, source)
        elif steps % self.interval == 0:
            self._average(averaged, source, steps)
        for held, new in copied:
            held.copy_(new)
        self.steps += 1

    def _average(self, averaged: list[Tensor], source: list[Tensor], steps: int) -> None:
        if type(self).avg_func is BaseAveragedModel.avg_func:
            torch._foreach_lerp_(averaged, source, self.share_of(steps))
            return
        for held, new in zip(averaged, source, strict=True):
            self.avg_func(held, new, steps)

    def _walk(self, model: nn.Module) -> tuple[list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]]:
        """Return the averaged tensors, those of `model` that they follow, and the pairs that are copied."""
        # Shared tensors appear once on both sides (the deep copy keeps the sharing), so none moves twice.
        pairs: list[tuple[Tensor, Tensor]] = list(zip(self.module.parameters(), model.parameters(), strict=True))
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        copied = [each for each in buffers if not (self.update_buffers and each[0].is_floating_point())]
        pairs += [each for each in buffers if self.update_buffers and each[0].is_floating_point()]
        return [held for held, _ in pairs], [new for _, new in pairs], copied


@MODELS.register_module()
class StochasticWeightAverage(BaseAveragedModel):
    """Keep the plain mean of all weights taken in."""

    def share_of(self, steps: int) -> float:
        """Return 1 / (number of weights taken in)."""
        return 1 / (steps // self.interval + 1)


AveragedModel = StochasticWeightAverage


@MODELS.register_module()
class ExponentialMovingAverage(BaseAveragedModel):
    """Keep an exponential moving average; `momentum` in (0, 1) is the share of the new weights."""

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, interval, device, update_buffers)
        if not 0.0 < momentum < 1.0:
            raise ValueError(f"`momentum` must lie in (0, 1), not {momentum}")
        self.momentum = momentum

    def share_of(self, steps: int) -> float:
        """Return the momentum."""
        return self.momentum


@MODELS.register_module()
class MomentumAnnealingEMA(ExponentialMovingAverage):
    """Anneal the momentum: max(momentum, gamma / (gamma + steps))."""

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 100,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if gamma <= 0:
            raise ValueError(f"`gamma` must be positive, not {gamma}")
        self.gamma = gamma

    def share_of(self, steps: int) -> float:
        """Return the share of the new weights after `steps` updates."""
        return max(self.momentum, self.gamma / (self.gamma + steps))


@MODELS.register_module()
class ExpMomentumEMA(ExponentialMovingAverage):
    """Anneal the momentum: (1 - momentum) * exp(-(1 + steps) / gamma) + momentum (as YOLOX does)."""

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 2000,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if gamma <= 0:
            raise ValueError(f"`gamma` must be positive, not {gamma}")
        self.gamma = gamma

    def share_of(self, steps: int) -> float:
        """Return the share of the new weights after `steps` updates."""
        return (1 - self.momentum) * math.exp(-(1 + steps) / self.gamma) + self.momentum
