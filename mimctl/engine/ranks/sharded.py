"""A model whose parameters, gradients and optimizer state are split over the ranks (torch's FSDP2, `fully_shard`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from mimctl.engine.registry import MODEL_WRAPPERS
from mimctl.errors import ConfigError, did_you_mean, nearest

_STRATEGIES = {"FULL_SHARD": True, "SHARD_GRAD_OP": False}
_POLICIES = {
    "size_based_auto_wrap_policy": "min_num_params",
    "transformer_auto_wrap_policy": "transformer_layer_cls",
    "module_wrap_policy": "module_classes",
}


@MODEL_WRAPPERS.register_module(name=["ShardedModel", "MMFullyShardedDataParallel"])
class ShardedModel(nn.Module):
    """Split the parameters of `module` over all ranks; each is put together where a forward or backward pass needs it.

    `auto_wrap_policy` says which modules inside are put together on their own: the name of one of torch's policies or
    a dict of `type` and its option (`size_based_auto_wrap_policy`: `min_num_params`, `module_wrap_policy` and
    `transformer_auto_wrap_policy`: names of classes); None for none, so that the whole model is put together at once.
    `sharding_strategy`: "FULL_SHARD", or "SHARD_GRAD_OP" to keep parameters whole between forward and backward.
    `mixed_precision`: `dict(param_dtype=…, reduce_dtype=…)` by names of torch's types. Checkpoints are those of the
    bare model. Every rank must have as many batches as the others, in validation and test too.
    """

    def __init__(
        self,
        module: nn.Module,
        process_group: dist.ProcessGroup | None = None,
        sharding_strategy: str | None = None,
        cpu_offload: bool | None = None,
        auto_wrap_policy: str | Mapping[str, Any] | None = None,
        backward_prefetch: str | None = None,
        mixed_precision: Mapping[str, Any] | None = None,
        use_orig_params: bool = True,
    ) -> None:
        from torch.distributed.device_mesh import DeviceMesh
        from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

        super().__init__()
        _check(backward_prefetch, use_orig_params)
        kind = next(module.parameters()).device.type
        group: Any = process_group or dist.group.WORLD
        options = {
            "mesh": DeviceMesh.from_group(group, kind),
            "reshard_after_forward": _reshards(sharding_strategy),
            "mp_policy": _precision(mixed_precision),
            "offload_policy": CPUOffloadPolicy() if cpu_offload and kind != "cpu" else OffloadPolicy(),
        }
        for inner in _units(module, auto_wrap_policy):
            fully_shard(inner, **options)
        self.module: Any = fully_shard(module, **options)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one step as `BaseModel.train_step` does; gradients are reduced after each backward pass."""
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.module.data_preprocessor(data, True), mode="loss")
        loss, log_vars = self.module.parse_losses(losses)
        optim_wrapper.update_params(loss)
        result: dict[str, Tensor] = log_vars
        return result

    def val_step(self, data: Any) -> Any:
        """Return the model's predictions; every rank must call it."""
        return self._run_forward(self.module.data_preprocessor(data, False), mode="predict")

    def test_step(self, data: Any) -> Any:
        """Return the model's predictions; every rank must call it."""
        return self.val_step(data)

    def _run_forward(self, batch: Any, mode: str) -> Any:
        return self(**batch, mode=mode) if isinstance(batch, Mapping) else self(*batch, mode=mode)


def _check(backward_prefetch: str | None, use_orig_params: bool) -> None:
    if backward_prefetch not in (None, "BACKWARD_PRE"):
        raise ConfigError(
            f"`ShardedModel` fetches ahead as BACKWARD_PRE does, not as `{backward_prefetch}`", code="bad-argument"
        )
    if not use_orig_params:
        raise ConfigError("`ShardedModel` keeps the model's own parameters: leave out `use_orig_params=False`")


def _reshards(strategy: str | None) -> bool:
    name = strategy or "FULL_SHARD"
    if name not in _STRATEGIES:
        raise ConfigError(
            f"`sharding_strategy` is {' or '.join(f'`{each}`' for each in _STRATEGIES)}, not `{name}`",
            code="bad-argument",
            hints=["for a copy of the model on each rank leave out `model_wrapper_cfg`"],
        )
    return _STRATEGIES[name]


def _precision(options: Mapping[str, Any] | None) -> Any:
    from torch.distributed.fsdp import MixedPrecisionPolicy

    known = ("param_dtype", "reduce_dtype", "output_dtype", "cast_forward_inputs")
    chosen = {key: value for key, value in (options or {}).items() if value is not None}
    for key in chosen:
        if key not in known:
            raise ConfigError(
                f"`mixed_precision` has no option `{key}`",
                code="bad-argument",
                hints=did_you_mean(nearest(key, known)),
            )
    return MixedPrecisionPolicy(
        **{key: getattr(torch, value) if isinstance(value, str) else value for key, value in chosen.items()}
    )


def _units(module: nn.Module, policy: str | Mapping[str, Any] | None) -> Iterator[nn.Module]:
    """Yield the inner modules that are put together on their own, inner ones before those around them."""
    is_chosen = _policy(policy)
    taken: set[int] = set()
    # What a module inside has taken is no longer part of those around it.
    for inner in reversed(list(module.modules())):
        free = [each for each in inner.parameters() if id(each) not in taken]
        if inner is not module and is_chosen(inner, sum(each.numel() for each in free)):
            taken.update(map(id, free))
            yield inner


def _policy(policy: str | Mapping[str, Any] | None) -> Callable[[nn.Module, int], bool]:
    """Return the test of which inner modules are put together on their own, given how many numbers they hold."""
    if policy is None:
        return lambda module, size: False
    options = {"type": policy} if isinstance(policy, str) else dict(policy)
    name = str(options.pop("type", None))
    if name not in _POLICIES or set(options) - {_POLICIES[name]}:
        raise ConfigError(
            f"there is no such `auto_wrap_policy`: {policy}",
            code="bad-argument",
            hints=[f"`dict(type='{each}', {option}=…)`" for each, option in _POLICIES.items()],
        )
    if name == "size_based_auto_wrap_policy":
        least = int(options.get("min_num_params", 1e8))
        return lambda module, size: size >= least
    wanted = set(_class_names(options.get(_POLICIES[name], ())))
    return lambda module, size: type(module).__name__ in wanted


def _class_names(classes: Any) -> Iterator[str]:
    for each in [classes] if isinstance(classes, (str, type)) else classes:
        yield each.__name__ if isinstance(each, type) else str(each).rpartition(".")[2]
