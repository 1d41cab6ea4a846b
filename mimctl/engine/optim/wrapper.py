"""The optimizer wrapper: one interface for a step, whatever accumulation, clipping and precision do around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mimctl.engine.ranks.split_tensors import is_split, split_like, split_optimizer_state
from mimctl.engine.registry import OPTIM_WRAPPERS
from mimctl.errors import ConfigError, nearest


@OPTIM_WRAPPERS.register_module()
class OptimWrapper:
    """Step an optimizer from losses.

    `accumulative_counts` losses make one step, each scaled by their number (the last, shorter group of a run by
    its own length). `clip_grad`: `dict(max_norm=…, norm_type=2)` or `dict(type='value', clip_value=…)`.
    `last_grad_norm` is the total gradient norm before clipping (a tensor), None without clipping by norm.
    `base_param_settings`, where there are several parameter groups, is a group without parameters that holds the
    options of the config as they stand: schedulers move it too, and the log shows its learning rate.
    """

    def __init__(
        self, optimizer: Optimizer, accumulative_counts: int = 1, clip_grad: dict[str, Any] | None = None
    ) -> None:
        if accumulative_counts < 1 or accumulative_counts != int(accumulative_counts):
            raise ConfigError(f"`accumulative_counts` must be a whole number from 1, got {accumulative_counts}")
        self.optimizer = optimizer
        self.last_grad_norm: Tensor | None = None
        self.base_param_settings: dict[str, Any] | None = None
        if len(optimizer.param_groups) > 1:
            self.base_param_settings = {"params": [], **optimizer.defaults}
        self.clip_type, self.clip_options = _clip_settings(clip_grad)
        self._accumulative_counts = accumulative_counts
        self._inner_count = 0
        self._max_counts = -1
        self._remainder_counts = -1

    @property
    def inner_count(self) -> int:
        """Return how many losses have gone through `update_params`."""
        return self._inner_count

    @property
    def accumulative_counts(self) -> int:
        """Return how many losses make one step."""
        return self._accumulative_counts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return the optimizer's parameter groups and behind them, where there are several, the config's options."""
        groups = self.optimizer.param_groups
        return groups if self.base_param_settings is None else [*groups, self.base_param_settings]

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the optimizer's default options."""
        return self.optimizer.defaults

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Back-propagate a loss and, where an accumulation group is full, step and clear the gradients."""
        self.backward(self.scale_loss(loss))
        if self.should_update():
            self.step(**(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate a loss that is already scaled; counts one more loss."""
        loss.backward(**kwargs)  # type: ignore[no-untyped-call]
        self._inner_count += 1

    def zero_grad(self, **kwargs: Any) -> None:
        """Clear the gradients."""
        self.optimizer.zero_grad(**kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clip and step."""
        if self.clip_options:
            self._clip_grad()
        self.optimizer.step(**kwargs)

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass inside: gradients are exchanged between ranks only where a step follows."""
        no_sync = getattr(model, "no_sync", None)
        if no_sync is not None and not self.should_sync():
            with no_sync():
                yield
        else:
            yield

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide a loss by the number of losses that make up its step."""
        if self._accumulative_counts == 1:
            return loss
        is_last_group = self._max_counts > 0 and self._inner_count >= self._max_counts - self._remainder_counts
        return loss / (self._remainder_counts if is_last_group else self._accumulative_counts)

    def should_update(self) -> bool:
        """Return whether a step is due after the losses so far."""
        return self._inner_count % self._accumulative_counts == 0 or self._inner_count == self._max_counts

    def should_sync(self) -> bool:
        """Return whether the next loss completes a step."""
        following = self._inner_count + 1
        return following % self._accumulative_counts == 0 or following == self._max_counts

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Tell how many losses a run has behind it and in all, so that its last group is scaled right."""
        self._inner_count = init_counts
        self._max_counts = max_counts
        self._remainder_counts = max_counts % self._accumulative_counts if max_counts > 0 else 0

    def get_lr(self) -> dict[str, list[float]]:
        """Return the learning rates: `lr` of each parameter group and, of several, the config's own as `base_lr`."""
        rates = {"lr": [float(group["lr"]) for group in self.optimizer.param_groups]}
        if self.base_param_settings is not None:
            rates["base_lr"] = [float(self.base_param_settings["lr"])]
        return rates

    def get_momentum(self) -> dict[str, list[float]]:
        """Return the momentum (or first beta) of each parameter group."""
        values = [
            float(group["momentum"]) if "momentum" in group else float(group.get("betas", (0.0,))[0])
            for group in self.optimizer.param_groups
        ]
        return {"momentum": values}

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state and, inside an accumulation group, the gradients collected so far."""
        state: dict[str, Any] = self.optimizer.state_dict()
        if self.base_param_settings is not None:
            state["base_param_settings"] = dict(self.base_param_settings)
        if self._inner_count % self._accumulative_counts:
            state["gradients"] = [
                None if param.grad is None else param.grad.detach().clone() for param in self._parameters()
            ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        state = dict(state_dict)
        state.pop("loss_scaler", None)  # of a run in mixed precision
        settings = state.pop("base_param_settings", None)
        if settings is not None and self.base_param_settings is not None:
            self.base_param_settings.update(settings)
        gradients = state.pop("gradients", None)
        parameters = self._parameters()
        self.optimizer.load_state_dict(split_optimizer_state(state, parameters))
        if gradients is not None:
            for param, grad in zip(parameters, gradients, strict=True):
                param.grad = None if grad is None else split_like(grad, param).to(param.device)

    def _parameters(self) -> list[Tensor]:
        return [param for group in self.optimizer.param_groups for param in group["params"]]

    def _clip_grad(self) -> None:
        parameters = [param for param in self._parameters() if param.grad is not None]
        if not parameters:
            return
        if self.clip_type == "value":
            torch.nn.utils.clip_grad_value_(parameters, **self.clip_options)
        else:
            norm: Any = torch.nn.utils.clip_grad_norm_(parameters, **self.clip_options)
            self.last_grad_norm = norm.full_tensor() if is_split(norm) else norm


def _clip_settings(clip_grad: dict[str, Any] | None) -> tuple[str, dict[str, Any]]:
    options = dict(clip_grad or {})
    kind = options.pop("type", "norm")
    allowed = {
        "norm": ("max_norm", "norm_type", "error_if_nonfinite", "foreach"),
        "value": ("clip_value", "foreach"),
    }
    if kind not in allowed:
        raise ConfigError(f"`clip_grad.type` must be `norm` or `value`, got `{kind}`")
    for key in options:
        if key not in allowed[kind]:
            near = nearest(key, allowed[kind]) or list(allowed[kind])
            raise ConfigError(f"`clip_grad` has no option `{key}`", hints=[f"did you mean `{near[0]}`?"])
    return kind, options
