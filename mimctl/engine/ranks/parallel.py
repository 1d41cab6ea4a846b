"""The model on its device and over the ranks: SyncBN conversion, DistributedDataParallel with our three steps."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mimctl.engine.model import allow_missing_pretrained
from mimctl.engine.model.test_time_aug import BaseTTAModel
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.sharded import ShardedModel
from mimctl.engine.ranks.sync_batch_norm import convert_for_cpu_ranks, convert_sync_batchnorm, revert_sync_batchnorm
from mimctl.engine.registry import MODEL_WRAPPERS, MODELS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, MimctlError, did_you_mean, nearest

# Newer torch warns about the old name of the same option.
_DDP_OPTIONS = inspect.signature(DistributedDataParallel.__init__).parameters
_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _DDP_OPTIONS else "broadcast_buffers"


@MODEL_WRAPPERS.register_module(name=["DistributedModel", "MMDistributedDataParallel"])
class DistributedModel(DistributedDataParallel):
    """DistributedDataParallel whose training step goes through its own `forward`, so that gradients are exchanged.

    `detect_anomalous_params` names the parameters that no loss depends on, at a cost in each step. Further arguments
    are DistributedDataParallel's; buffers are not broadcast before each step unless `broadcast_buffers` is true.
    """

    def __init__(
        self,
        module: nn.Module,
        detect_anomalous_params: bool = False,
        *,
        broadcast_buffers: bool = False,
        find_unused_parameters: bool = False,
        static_graph: bool = False,
        gradient_as_bucket_view: bool = False,
        **kwargs: Any,
    ) -> None:
        for key in kwargs:
            if key not in _DDP_OPTIONS:
                raise ConfigError(
                    f"DistributedDataParallel has no option `{key}`",
                    code="bad-argument",
                    hints=did_you_mean(nearest(key, list(_DDP_OPTIONS))),
                )
        super().__init__(
            module,
            find_unused_parameters=find_unused_parameters,
            static_graph=static_graph,
            gradient_as_bucket_view=gradient_as_bucket_view,
            **{_BUFFERS: broadcast_buffers, **kwargs},
        )
        self.detect_anomalous_params = detect_anomalous_params
        self.has_left = False
        distributed.enroll(self)

    def leave(self) -> None:
        """Let go of the process group, whose threads live as long as anybody holds it; exchange nothing any more."""
        for name in ("reducer", "logger", "process_group"):
            setattr(self, name, None)
        self.has_left = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run the model. MimctlError[unused-parameters] where the step before left parameters without a gradient."""
        if self.has_left:
            return self.module(*inputs, **kwargs)
        try:
            return super().forward(*inputs, **kwargs)  # type: ignore[no-untyped-call]
        except RuntimeError as err:
            if "finished reduction in the prior iteration" not in str(err):
                raise
            raise _unused_parameters(self.module, str(err)) from err

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one step as `BaseModel.train_step` does."""
        module: Any = self.module
        with optim_wrapper.optim_context(self):
            batch = module.data_preprocessor(data, True)
            losses = self(**batch, mode="loss") if isinstance(batch, Mapping) else self(*batch, mode="loss")
        loss, log_vars = module.parse_losses(losses)
        if self.detect_anomalous_params:
            detect_anomalous_params(loss, module)
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
    `model_wrapper_cfg`, `find_unused_parameters`, `sync_bn`, `resume` and `load_from` count.
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
        comes_from_elsewhere=bool(options.get("resume") or options.get("load_from")),
    )


def wrap_model(
    model: nn.Module,
    device: torch.device,
    *,
    wrapper_cfg: Mapping[str, Any] | None = None,
    find_unused_parameters: bool = False,
    sync_bn: str | None = None,
    comes_from_elsewhere: bool = False,
) -> nn.Module:
    """Return the model on `device`, wrapped where there are several ranks.

    A single process has nobody to share batch statistics with: SyncBatchNorm layers become BatchNorm layers.
    `sync_bn="torch"` turns BatchNorm layers into SyncBatchNorm layers on several ranks. A model that is split gets its
    initial weights first; where they come from a checkpoint (`comes_from_elsewhere`), pretrained ones may be missing.
    """
    if distributed.get_world_size() == 1:
        model = revert_sync_batchnorm(model)
    else:
        model = convert_sync_batchnorm(model, sync_bn) if sync_bn else model
        model = convert_for_cpu_ranks(model) if device.type == "cpu" else model
    model = model.to(device)
    if not distributed.is_distributed():
        return _channels_last(model, device)
    cfg = {"type": "DistributedModel", **(wrapper_cfg or {})}
    if cfg["type"] is ShardedModel or MODEL_WRAPPERS.get(cfg["type"]) is ShardedModel:
        _start_equal(model, comes_from_elsewhere)
        split: nn.Module = MODEL_WRAPPERS.build(cfg, module=model)
        return split
    options: dict[str, Any] = {"find_unused_parameters": find_unused_parameters}
    if device.type == "cuda":
        options["device_ids"] = [device.index]
    wrapped: nn.Module = MODEL_WRAPPERS.build(cfg, module=_channels_last(model, device), **options)
    return wrapped


def bare_model(model: nn.Module) -> nn.Module:
    """Return the model inside wrappers: those of ranks, and one that merges the views of test-time augmentation."""
    while isinstance(model, (DistributedDataParallel, ShardedModel, BaseTTAModel)):
        model = model.module
    return model


def require_equal_batches(num_batches: int, what: str) -> None:
    """Raise ConfigError on every rank where ranks have different numbers of batches: some would wait for ever."""

    def error(numbers: list[int]) -> ConfigError:
        return ConfigError(
            f"the ranks have different numbers of {what} batches: {', '.join(map(str, numbers))}",
            hints=["let the sampler even them out: `sampler=dict(type='DefaultSampler', round_up=True)`"],
        )

    distributed.require_agreement(num_batches, error)


def detect_anomalous_params(loss: Tensor, model: nn.Module) -> set[str]:
    """Return the names of the trainable parameters that `loss` does not depend on, and warn of them."""
    reached: set[int] = set()
    waiting, seen = [loss.grad_fn], {None}
    while waiting:
        node: Any = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            reached.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    idle = {name for name, each in model.named_parameters() if each.requires_grad and id(each) not in reached}
    if idle:
        get_logger().warning("no loss depends on these parameters: %s", ", ".join(sorted(idle)))
    return idle


def _channels_last(model: nn.Module, device: torch.device) -> nn.Module:
    if device.type == "cpu":
        # Convolutions whose weights lie channels last take about a quarter less time there (measured on RTMDet).
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def _start_equal(model: nn.Module, comes_from_elsewhere: bool) -> None:
    """Initialise a model that is going to be split: from then on no rank has its weights as a whole."""
    initialize: Any = getattr(model, "init_weights", None)
    if initialize is not None:
        with allow_missing_pretrained() if comes_from_elsewhere else contextlib.nullcontext():
            initialize()
    distributed.share([*model.parameters(), *model.buffers()])


def _unused_parameters(module: nn.Module, message: str) -> MimctlError:
    """Return the error that names the parameters whose numbers DistributedDataParallel's message lists."""
    trainable = [name for name, each in module.named_parameters() if each.requires_grad]
    listed = re.search(r"did not receive grad for rank \d+: ([\d ]+)", message)
    numbers = [int(each) for each in listed[1].split()] if listed else []
    names = [trainable[number] for number in numbers if number < len(trainable)]
    return MimctlError(
        "some parameters got no gradient, for which the other ranks wait",
        code="unused-parameters",
        causes=[", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")] if names else [],
        hints=[
            "if a loss leaves parts of the model out on purpose: `--cfg-options find_unused_parameters=True`",
            "if not, let every loss depend on them, or freeze them with `requires_grad=False`",
        ],
    )
