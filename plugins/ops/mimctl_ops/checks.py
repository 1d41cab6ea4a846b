"""Checks of arguments that the typed functions share: each raises an error that names the operator and the argument."""

from __future__ import annotations

import torch
from torch import Tensor


def check_tensor(op: str, name: str, tensor: object, shape: str, *, dim: int) -> None:
    """Raise TypeError unless `tensor` is one, ValueError unless it has `dim` dimensions; `shape` is for the message."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{op}: {name} must be a tensor, not {type(tensor).__name__}")
    if tensor.dim() != dim:
        raise ValueError(f"{op}: {name} must have the shape {shape}, not {tuple(tensor.shape)}")


def check_size(op: str, name: str, tensor: Tensor, shape: str, *, dim: int, size: int) -> None:
    """Raise ValueError unless dimension `dim` of `tensor` has `size` elements."""
    # Not an `if`: sizes that are known only when a compiled graph runs are checked there.
    if torch.compiler.is_compiling():
        torch._check_value(tensor.shape[dim] == size)  # torch 2.11 cannot trace a message made of variables
    elif (fits := tensor.shape[dim] == size) is not True:  # plain numbers that fit, the usual case, end here
        torch._check_value(fits, lambda: f"{op}: {name} must have the shape {shape}")


def check_floating(op: str, **tensors: Tensor | None) -> None:
    """Raise TypeError unless all the tensors are floating point."""
    for name, tensor in tensors.items():
        if tensor is not None and not tensor.is_floating_point():
            raise TypeError(f"{op}: {name} must be floating point, not {_type_name(tensor.dtype)}")


def check_same_device(op: str, **tensors: Tensor | None) -> None:
    """Raise ValueError unless all the tensors lie on the device of the first."""
    first: tuple[str, Tensor] | None = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if first is None:
            first = name, tensor
        elif tensor.device != first[1].device:
            raise ValueError(f"{op}: {name} lies on {tensor.device}, {first[0]} on {first[1].device}")


def compute_type(dtype: torch.dtype) -> torch.dtype:
    """Return what numbers of a type are computed in: float32 for the half types, the type itself otherwise."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
