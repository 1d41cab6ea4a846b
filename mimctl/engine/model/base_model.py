"""The contract of a whole model: `forward` in three modes, one training step, one validation step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mimctl.engine.model.base_module import BaseModule, InitCfg
from mimctl.engine.model.preprocess import BaseDataPreprocessor
from mimctl.engine.registry import MODELS


class OptimWrapperLike(Protocol):
    """What a training step needs of an optimizer wrapper."""

    def optim_context(self, model: nn.Module) -> Any:
        """Return the context in which the forward pass runs (precision, accumulation)."""

    def update_params(self, loss: Tensor) -> None:
        """Backpropagate and step."""


class BaseModel(BaseModule):
    """A model together with the preprocessing of its batches.

    `data_preprocessor` is a module or a config (default type `BaseDataPreprocessor`).
    """

    def __init__(
        self, data_preprocessor: Mapping[str, Any] | nn.Module | None = None, init_cfg: InitCfg = None
    ) -> None:
        super().__init__(init_cfg)
        if data_preprocessor is None:
            data_preprocessor = {}
        if isinstance(data_preprocessor, nn.Module):
            self.data_preprocessor: Any = data_preprocessor
        else:
            self.data_preprocessor = MODELS.build(data_preprocessor, **_default_type(data_preprocessor))

    @abstractmethod
    def forward(self, inputs: Tensor, data_samples: list[Any] | None = None, mode: str = "tensor") -> Any:
        """Run the model: 'loss' returns a dict of losses, 'predict' a list of samples, 'tensor' the raw output."""

    def train_step(self, data: Any, optim_wrapper: OptimWrapperLike) -> dict[str, Tensor]:
        """Do one optimisation step on a batch as the data loader gives it; return the log variables (0-D tensors)."""
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.data_preprocessor(data, True), mode="loss")
        loss, log_vars = self.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return log_vars

    def val_step(self, data: Any) -> list[Any]:
        """Return the predictions for a batch."""
        predictions: list[Any] = self._run_forward(self.data_preprocessor(data, False), mode="predict")
        return predictions

    def test_step(self, data: Any) -> list[Any]:
        """Return the predictions for a batch."""
        return self.val_step(data)

    def parse_losses(self, losses: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of every entry whose name holds 'loss', and all entries as means, `loss` first.

        An entry is a tensor or a list of tensors. Nothing is copied off the device.
        """
        means: dict[str, Tensor] = {}
        for name, value in losses.items():
            if isinstance(value, Tensor):
                means[name] = value.mean() if value.ndim else value
            elif isinstance(value, list | tuple):
                means[name] = torch.stack([each.mean() for each in value]).sum()
            else:
                raise TypeError(f"loss `{name}` is a {type(value).__name__}, not a tensor or a list of tensors")
        parts = [value for name, value in means.items() if "loss" in name]
        if not parts:
            raise ValueError(f"no entry of the loss dict is a loss: {', '.join(losses)}")
        loss = torch.stack(parts).sum() if len(parts) > 1 else parts[0]
        return loss, {"loss": loss.detach(), **{name: value.detach() for name, value in means.items()}}

    def _run_forward(self, data: Any, mode: str) -> Any:
        if isinstance(data, Mapping):
            return self(**data, mode=mode)
        if isinstance(data, list | tuple):
            return self(*data, mode=mode)
        raise TypeError(f"a preprocessed batch must be a dict or a tuple, not a {type(data).__name__}")


def _default_type(cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {} if "type" in cfg else {"type": BaseDataPreprocessor}
