"""Fold batch normalisation into the convolution before it, for inference."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm


def fuse_conv_bn(module: nn.Module) -> nn.Module:
    """Fold every batch norm into the convolution registered right before it, in place, and return the module.

    The norms become identities. Only right where such a pair is also run in that order, and in evaluation mode.
    """
    last: tuple[str, nn.Conv2d] | None = None
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm | nn.SyncBatchNorm):
            if last is not None:
                module._modules[last[0]] = _folded(last[1], child)
                module._modules[name] = nn.Identity()
                last = None
        elif isinstance(child, nn.Conv2d):
            last = (name, child)
        else:
            fuse_conv_bn(child)
    return module


@torch.no_grad()
def _folded(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    held: dict[str, torch.Tensor] = dict(norm.named_buffers()) | dict(norm.named_parameters())
    scale = torch.rsqrt(held["running_var"] + float(norm.eps))  # type: ignore[arg-type]
    if "weight" in held:
        scale = scale * held["weight"]
    before = conv.bias if conv.bias is not None else torch.zeros_like(held["running_mean"])
    conv.weight = Parameter(conv.weight * scale.reshape(-1, 1, 1, 1))
    conv.bias = Parameter((before - held["running_mean"]) * scale + held.get("bias", torch.zeros_like(scale)))
    return conv
