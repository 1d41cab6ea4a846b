"""Mixed precision: autocast to bf16 or fp16, and the scaling of losses that fp16 needs."""

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

    `loss_scale`: "dynamic", a number that stays, or options of torch's GradScaler. `dtype`: "float16", "bfloat16" (or
    torch's own) or None for the device's own: fp16 on CUDA, bf16 on the CPU, which has no use for fp16 but takes it.
    """

    def __init__(
        self,
        loss_scale: str | float | dict[str, Any] = "dynamic",
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs: Any,
    ) -> None:
        if use_fsdp:
            raise ConfigError(
                "`use_fsdp` scales losses over FSDP's shards, which mimctl does not do",
                hints=["use `dtype='bfloat16'`, which needs no loss scale, and leave `use_fsdp` out"],
            )
        super().__init__(**kwargs)
        self.device_type = self._parameters()[0].device.type
        self.dtype = _chosen(dtype, self.device_type)
        self._fixed_scale, options = _scaler_options(loss_scale)
        self.loss_scaler = GradScaler(self.device_type, enabled=self.dtype == torch.float16, **options)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate the loss times the scale."""
        self.loss_scaler.scale(loss).backward(**kwargs)  # type: ignore[no-untyped-call]
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Unscale, clip and step; a step whose gradients overflow is left out and a dynamic scale lowered."""
        if self.clip_options:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update(self._fixed_scale)

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


def _chosen(dtype: str | torch.dtype | None, device_type: str) -> torch.dtype:
    if dtype is None:
        return torch.bfloat16 if device_type == "cpu" else torch.float16
    found = _DTYPES.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise ConfigError(f"`dtype` must be `float16` or `bfloat16`, got `{dtype}`")
    return found


def _scaler_options(loss_scale: str | float | dict[str, Any]) -> tuple[float | None, dict[str, Any]]:
    """Return the scale that stays, None for one that moves, and the options of the GradScaler."""
    if loss_scale == "dynamic":
        return None, {}
    if isinstance(loss_scale, dict):
        return None, dict(loss_scale)
    if isinstance(loss_scale, int | float) and loss_scale > 0:
        return float(loss_scale), {"init_scale": float(loss_scale)}
    raise ConfigError(f"`loss_scale` must be `dynamic`, a positive number or a dict, got `{loss_scale}`")
