"""Mixed precision: fp16 with loss scaling or bf16 on CUDA, bf16 on the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.registry import OPTIM_WRAPPERS
from mimctl.errors import ConfigError

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """Run the forward pass under autocast and scale losses where fp16 needs it.

    `loss_scale`: "dynamic", a fixed number, or options of torch's GradScaler. `dtype`: "float16", "bfloat16" or
    None for the device's own (fp16 on CUDA, bf16 on the CPU, where fp16 would not be faster).
    """

    def __init__(
        self,
        loss_scale: str | float | dict[str, Any] = "dynamic",
        dtype: str | None = None,
        use_fsdp: bool = False,
        **kwargs: Any,
    ) -> None:
        if use_fsdp:
            raise ConfigError("`use_fsdp` is not supported yet", hints=["leave it out: the model is replicated"])
        super().__init__(**kwargs)
        first = self.param_groups[0]["params"][0]
        self.device_type = first.device.type
        self.dtype = self._choose_dtype(dtype)
        needs_scaling = self.device_type == "cuda" and self.dtype == torch.float16
        self.loss_scaler = GradScaler(self.device_type, enabled=needs_scaling, **_scaler_options(loss_scale))

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate the loss times the scale."""
        self.loss_scaler.scale(loss).backward(**kwargs)  # type: ignore[no-untyped-call]
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Unscale, clip and step; a step whose gradients overflow is left out and the scale lowered."""
        if self.clip_options:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast."""
        with super().optim_context(model), torch.autocast(self.device_type, dtype=self.dtype):
            yield

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state and the scaler's."""
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; the state of a run without mixed precision is taken too."""
        state = dict(state_dict)
        scaler = state.pop("loss_scaler", None)
        if scaler:
            self.loss_scaler.load_state_dict(scaler)
        super().load_state_dict(state)

    def _choose_dtype(self, name: str | None) -> torch.dtype:
        if name is None:
            return torch.float16 if self.device_type == "cuda" else torch.bfloat16
        if name not in _DTYPES:
            raise ConfigError(f"`dtype` must be `float16` or `bfloat16`, got `{name}`")
        return torch.bfloat16 if self.device_type == "cpu" else _DTYPES[name]


def _scaler_options(loss_scale: str | float | dict[str, Any]) -> dict[str, Any]:
    if loss_scale == "dynamic":
        return {}
    if isinstance(loss_scale, dict):
        return dict(loss_scale)
    if isinstance(loss_scale, (int, float)):
        # A scale that never grows or shrinks.
        return {"init_scale": float(loss_scale), "growth_factor": 1.0 + 1e-12, "backoff_factor": 1.0 - 1e-12}
    raise ConfigError(f"`loss_scale` must be `dynamic`, a number or a dict, got `{loss_scale}`")
