"""The model on its device and over the ranks: SyncBN conversion, DistributedDataParallel with our three steps."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mimctl.engine import distributed
from mimctl.engine.registry import MODEL_WRAPPERS, MODELS

# Newer torch warns about the old name of the same option.
_DDP_OPTIONS = inspect.signature(DistributedDataParallel.__init__).parameters
_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _DDP_OPTIONS else "broadcast_buffers"


@MODEL_WRAPPERS.register_module(name=["DistributedModel", "MMDistributedDataParallel"])
class DistributedModel(DistributedDataParallel):
    """DistributedDataParallel whose training step goes through its own `forward`, so that gradients are exchanged."""

    def __init__(self, module: nn.Module, detect_anomalous_params: bool = False, **kwargs: Any) -> None:
        super().__init__(module, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one step as `BaseModel.train_step` does."""
        module: Any = self.module
        with optim_wrapper.optim_context(self):
            batch = module.data_preprocessor(data, True)
            losses = self(**batch, mode="loss") if isinstance(batch, Mapping) else self(*batch, mode="loss")
        loss, log_vars = module.parse_losses(losses)
        optim_wrapper.update_params(loss)
        result: dict[str, Tensor] = log_vars
        return result

    def val_step(self, data: Any) -> Any:
        """Return the model's predictions; no exchange is needed."""
        module: Any = self.module
        return module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """Return the model's predictions; no exchange is needed."""
        module: Any = self.module
        return module.test_step(data)


def build_model(
    cfg: nn.Module | Mapping[str, Any], data_preprocessor: Any, device: torch.device, options: Mapping[str, Any]
) -> nn.Module:
    """Build a model from its config and wrap it for `device` and the ranks.

    `data_preprocessor` is taken where the model's config has none. `options` are a config's top-level keys, of which
    `model_wrapper_cfg`, `find_unused_parameters` and `sync_bn` count.
    """
    if isinstance(cfg, nn.Module):
        model = cfg
    else:
        preprocessing = {} if data_preprocessor is None else {"data_preprocessor": data_preprocessor}
        model = MODELS.build({**preprocessing, **cfg})
    return wrap_model(
        model,
        device,
        wrapper_cfg=options.get("model_wrapper_cfg"),
        find_unused_parameters=bool(options.get("find_unused_parameters", False)),
        sync_bn=options.get("sync_bn"),
    )


def wrap_model(
    model: nn.Module,
    device: torch.device,
    *,
    wrapper_cfg: Mapping[str, Any] | None = None,
    find_unused_parameters: bool = False,
    sync_bn: str | None = None,
) -> nn.Module:
    """Return the model on `device`, wrapped where there are several ranks.

    A single process has nobody to share batch statistics with: SyncBatchNorm layers become BatchNorm layers.
    `sync_bn="torch"` turns BatchNorm layers into SyncBatchNorm layers on several ranks.
    """
    if not distributed.is_distributed() or device.type == "cpu":
        model = revert_sync_batchnorm(model)
    elif sync_bn == "torch":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    model = model.to(device)
    if device.type == "cpu":
        # Convolutions whose weights lie channels last take about a quarter less time there (measured on RTMDet).
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not distributed.is_distributed():
        return model
    options: dict[str, Any] = {_BUFFERS: False, "find_unused_parameters": find_unused_parameters}
    if device.type == "cuda":
        options["device_ids"] = [device.index]
    cfg = {"type": "DistributedModel", **(wrapper_cfg or {})}
    wrapped: nn.Module = MODEL_WRAPPERS.build(cfg, module=model, **options)
    return wrapped


def bare_model(model: nn.Module) -> nn.Module:
    """Return the model inside a wrapper."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every SyncBatchNorm by the BatchNorm of its input's rank (2-d unless shown otherwise)."""
    for name, child in module.named_children():
        replaced = revert_sync_batchnorm(child)
        if replaced is not child:
            setattr(module, name, replaced)
    if not isinstance(module, nn.SyncBatchNorm):
        return module
    plain = _AnyBatchNorm(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
    plain.load_state_dict(module.state_dict())
    for (_, held), (_, new) in zip(module.named_parameters(), plain.named_parameters(), strict=True):
        new.requires_grad_(held.requires_grad)
    plain.training = module.training
    return plain


class _AnyBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm for inputs of any number of dimensions, as SyncBatchNorm is."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")
