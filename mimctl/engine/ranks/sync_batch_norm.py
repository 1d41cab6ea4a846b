"""Batch norm over the batches of all ranks: on an accelerator torch's own, on the CPU, which torch's refuses, ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch import distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from mimctl.engine.registry import MODELS
from mimctl.errors import ConfigError


@MODELS.register_module(name=["SyncBN", "MMSyncBN", "NaiveSyncBN"])
class SyncBatchNorm(nn.SyncBatchNorm):
    """Batch norm of the global batch for inputs (N, C, ...) of 2 or more dimensions.

    Training on several ranks: mean and variance are those of all ranks' samples, of which each rank may have another
    number, or none. Otherwise plain batch norm. Parameters and state dict are torch's SyncBatchNorm's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised (N, C, ...) input. ValueError where all ranks together have one value a channel."""
        if input.device.type == "cpu" or not _must_sync(self):
            return _normalised(self, input)
        synced: Tensor = super().forward(input)
        return synced


class _AnyBatchNorm(_BatchNorm):
    """BatchNorm for inputs of any number of dimensions, as SyncBatchNorm is."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")


class CpuSyncBatchNorm(_AnyBatchNorm):
    """What SyncBatchNorm computes on the CPU, for DistributedDataParallel, which refuses layers of that kind there."""

    process_group: dist.ProcessGroup | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised (N, C, ...) input. ValueError where all ranks together have one value a channel."""
        return _normalised(self, input)


def _must_sync(layer: nn.SyncBatchNorm | CpuSyncBatchNorm) -> bool:
    if not (layer.training and dist.is_available() and dist.is_initialized()):
        return False
    return dist.get_world_size(layer.process_group) > 1


def _normalised(layer: nn.SyncBatchNorm | CpuSyncBatchNorm, input: Tensor) -> Tensor:
    if not _must_sync(layer):
        return _BatchNorm.forward(layer, input)
    layer._check_input_dim(input)
    options = layer.weight, layer.bias, layer.eps, layer.process_group
    outputs: tuple[Tensor, Tensor, Tensor] = _GlobalNorm.apply(input, *options)  # type: ignore[no-untyped-call]
    output, mean, variance = outputs
    _update_statistics(layer, mean, variance)
    return output


@torch.no_grad()
def _update_statistics(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked.add_(1)
    share = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), share)
    layer.running_var.lerp_(variance.to(layer.running_var.dtype), share)


class _GlobalNorm(torch.autograd.Function):
    """Normalise by the statistics of all ranks: one exchange forward, one backward."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, group: dist.ProcessGroup | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output, and the global mean (C,) and unbiased variance (C,)."""
        values = _precise(input)
        mean, variance, count = _global_statistics(values, group)
        if count <= 1:
            raise ValueError(f"batch norm needs more than one value per channel, got input of {tuple(input.shape)}")
        mean, variance = mean.to(values.dtype), variance.to(values.dtype)
        ctx.save_for_backward(input, weight, mean, torch.rsqrt(variance + eps))
        ctx.count, ctx.group = count, group
        unbiased = variance * (count / (count - 1))
        ctx.mark_non_differentiable(mean, unbiased)
        output = F.batch_norm(input, mean, variance, weight, bias, False, 0.0, eps)
        return output, mean, unbiased

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *unused: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias; those of the latter two are this rank's own share."""
        input, weight, mean, scale = ctx.saved_tensors
        shape = [1, -1, *[1] * (input.dim() - 2)]
        dims = _all_but_channels(input)
        grad = _precise(grad)
        normal = (_precise(input) - mean.view(shape)) * scale.view(shape)
        sums = torch.stack([grad.sum(dims), (grad * normal).sum(dims)])
        grad_weight = sums[1].to(weight.dtype) if weight is not None else None
        grad_bias = sums[0].to(weight.dtype) if weight is not None else None
        means = sums.to(torch.float64, copy=True)
        dist.all_reduce(means, group=ctx.group)
        means = (means / ctx.count).to(grad.dtype)
        factor = scale if weight is None else scale * weight
        grad_input = (grad - means[0].view(shape) - normal * means[1].view(shape)) * factor.view(shape)
        return grad_input.to(input.dtype), grad_weight, grad_bias, None, None


def _global_statistics(values: Tensor, group: dist.ProcessGroup | None) -> tuple[Tensor, Tensor, int]:
    """Return mean (C,), biased variance (C,), in double precision, and the number of values a channel over all ranks.

    Combining means and variances (Chan et al. 1979) loses no digits where the mean is large; sums of squares would.
    """
    channels, count = values.shape[1], values.numel() // max(values.shape[1], 1)
    own = values.new_zeros(2 * channels + 1, dtype=torch.float64)
    if count:
        variance, mean = torch.var_mean(values, _all_but_channels(values), correction=0)
        own = torch.cat([mean.double(), variance.double(), own.new_tensor([count])])
    ranks = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(ranks, own, group=group)
    means, variances, counts = torch.split(torch.stack(ranks), [channels, channels, 1], dim=1)
    total = int(counts.sum())
    shares = counts / max(total, 1)
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean) ** 2)).sum(0), total


def _all_but_channels(input: Tensor) -> list[int]:
    return [0, *range(2, input.dim())]


def _precise(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def convert_sync_batchnorm(module: nn.Module, implementation: str = "torch") -> nn.Module:
    """Replace every batch norm by SyncBatchNorm, which on accelerators computes as torch's does.

    ConfigError for another implementation than `torch`: mmcv's is not here.
    """
    if implementation != "torch":
        raise ConfigError(f"there is torch's SyncBatchNorm, not {implementation!r}", code="bad-argument")
    return _replaced(module, lambda layer: SyncBatchNorm if not _is_synced(layer) else None)


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every SyncBatchNorm by a batch norm for inputs of any number of dimensions."""
    return _replaced(module, lambda layer: _AnyBatchNorm if _is_synced(layer) else None)


def convert_for_cpu_ranks(module: nn.Module) -> nn.Module:
    """Replace every SyncBatchNorm by one that DistributedDataParallel takes on the CPU."""
    return _replaced(module, lambda layer: CpuSyncBatchNorm if isinstance(layer, nn.SyncBatchNorm) else None)


def _is_synced(layer: nn.Module) -> bool:
    return isinstance(layer, (nn.SyncBatchNorm, CpuSyncBatchNorm))


def _replaced(module: nn.Module, choose: Callable[[_BatchNorm], type[_BatchNorm] | None]) -> nn.Module:
    """Replace batch norms below and at `module` by layers of the kind chosen; parameters and buffers stay the same."""
    for name, child in module.named_children():
        module._modules[name] = _replaced(child, choose)
    if not isinstance(module, _BatchNorm):
        return module
    kind = choose(module)
    if kind is None:
        return module
    made = kind(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
    made._parameters.update(module._parameters)
    made._buffers.update(module._buffers)
    made.training = module.training
    if _is_synced(made):
        made.process_group = getattr(module, "process_group", None)  # type: ignore[assignment]
    return made
