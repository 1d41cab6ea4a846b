"""Registers operators: schema, pure-PyTorch reference, fake kernel, gradients; compiled kernels come from the library.

An operator is declared once, in its own file of `mimctl_ops/ops/`. Where the library has a kernel for a device, that
serves; elsewhere the reference does. Backward operators need no code of their own in Python: their reference is the
derivative that autograd takes of the forward reference.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from mimctl_ops.library import load_error, status

_NAMESPACE = "mimctl_ops"
_LIBRARY = torch.library.Library(_NAMESPACE, "FRAGMENT")
_DIFFERENTIABLE_KEYS = ("AutogradFunctionality", "AutogradOther", "AutogradNestedTensor", "ADInplaceOrView")

Kernel = Callable[..., Any]


class OpsTierWarning(UserWarning):
    """An operator runs as slower pure PyTorch on a device that the installed build has no compiled code for."""


def define(schema: str, *, reference: Kernel, fake: Kernel) -> OpOverload[..., Any]:
    """Declare an operator without a gradient and return its callable, `torch.ops.mimctl_ops.<name>.default`.

    `reference` and `fake` take the schema's arguments; `fake` returns empty tensors of the right shapes.
    """
    name = schema.partition("(")[0]
    _LIBRARY.define(schema)
    _LIBRARY.impl(name, _kernel(name, reference), "CompositeExplicitAutograd")
    torch.library.register_fake(f"{_NAMESPACE}::{name}", fake, lib=_LIBRARY)
    overload: OpOverload[..., Any] = getattr(torch.ops.mimctl_ops, name).default
    return overload


def define_differentiable(schema: str, *, reference: Kernel, fake: Kernel, wrt: Sequence[str]) -> OpOverload[..., Any]:
    """Declare an operator with one result, and `<name>_backward` that gives the gradients of its arguments `wrt`.

    The backward operator's schema is `name_backward(Tensor grad, <the forward arguments>, int wanted) -> (Tensor, …)`,
    one result for each of `wrt` in that order; bit i of `wanted` says whether result i is needed. A result that is not
    wanted, or whose argument is None, is an empty tensor of shape (0,) or whatever the kernel likes.
    """
    forward = define(schema, reference=reference, fake=fake)
    name, arguments = _parse(schema)
    results = "Tensor" if len(wrt) == 1 else f"({', '.join(['Tensor'] * len(wrt))})"
    positions = [arguments.index(each) for each in wrt]
    declared = schema[len(name) + 1 : schema.rindex(") ->")]
    backward = define(
        f"{name}_backward(Tensor grad, {declared}, int wanted) -> {results}",
        reference=functools.partial(_derivative, reference, positions),
        fake=functools.partial(_fake_gradients, positions),
    )
    _differentiate(name, forward=forward, backward=backward, positions=positions)
    return forward


def _kernel(name: str, reference: Kernel) -> Kernel:
    """Return what serves a device that the library has no kernel for."""
    tier = status().tier
    if tier == "python":
        return reference

    @functools.wraps(reference)
    def serve(*args: Any) -> Any:
        if tier == "failed":
            raise load_error()
        device = next((arg.device.type for arg in args if isinstance(arg, Tensor)), "cpu")
        _warn_of_slow(device)
        return reference(*args)

    return serve


@functools.cache
def _warn_of_slow(device: str) -> None:
    found = status()
    warnings.warn(
        f"mimctl-ops {found.version} ({found.backend}) has no compiled operators for `{device}`: slower pure PyTorch "
        "serves there. `mimctl doctor` says which wheel would fit.",
        OpsTierWarning,
        stacklevel=4,
    )


def _parse(schema: str) -> tuple[str, list[str]]:
    """Return the name of an operator and the names of its arguments."""
    name, _, rest = schema.partition("(")
    declared = rest[: rest.rindex(") ->")]
    return name, [re.split(r"[ =]", each.strip())[1] for each in declared.split(",")]


def _derivative(reference: Kernel, positions: Sequence[int], grad: Tensor, *args: Any) -> Any:
    """Run the forward reference again under autograd and return the wanted gradients."""
    *values, wanted = args
    leaves: dict[int, Tensor] = {}
    for bit, position in enumerate(positions):
        if wanted >> bit & 1 and isinstance(values[position], Tensor):
            leaves[position] = values[position] = values[position].detach().requires_grad_()
    with _autograd_inside_a_kernel():
        output = reference(*values)
        found = torch.autograd.grad(output, list(leaves.values()), grad, allow_unused=True) if leaves else ()
    by_position = dict(zip(leaves, found, strict=True))
    gradients = tuple(_gradient(by_position.get(position), leaves.get(position), grad) for position in positions)
    return gradients[0] if len(gradients) == 1 else gradients


def _gradient(found: Tensor | None, leaf: Tensor | None, grad: Tensor) -> Tensor:
    if leaf is None:
        return grad.new_empty(0)
    return leaf.detach().new_zeros(leaf.shape) if found is None else found.contiguous()


class _autograd_inside_a_kernel:  # noqa: N801 - used as a function
    """Let autograd record inside a kernel, where the dispatcher has switched it off for the thread."""

    def __enter__(self) -> None:
        excluded = torch._C._dispatch_tls_local_exclude_set()
        for key in _DIFFERENTIABLE_KEYS:
            excluded = excluded.remove(getattr(torch._C.DispatchKey, key))
        self._guard = torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded)
        self._guard.__enter__()
        self._grad = torch.enable_grad()
        self._grad.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._grad.__exit__(*error)
        self._guard.__exit__(*error)


def _fake_gradients(positions: Sequence[int], grad: Tensor, *args: Any) -> Any:
    *values, wanted = args
    gradients = tuple(
        torch.empty_like(values[position], memory_format=torch.contiguous_format)
        if wanted >> bit & 1 and isinstance(values[position], Tensor)
        else grad.new_empty(0)
        for bit, position in enumerate(positions)
    )
    return gradients[0] if len(gradients) == 1 else gradients


def _differentiate(
    name: str, *, forward: OpOverload[..., Any], backward: OpOverload[..., Any], positions: Sequence[int]
) -> None:
    num_arguments = len(forward._schema.arguments)

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*(each if isinstance(each, Tensor) else None for each in inputs))
        ctx.others = [None if isinstance(each, Tensor) else each for each in inputs]

    def differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pairs = zip(ctx.saved_tensors, ctx.others, strict=True)
        values = [other if tensor is None else tensor for tensor, other in pairs]
        wanted = sum(1 << bit for bit, position in enumerate(positions) if ctx.needs_input_grad[position])
        found = backward(grad, *values, wanted)
        found = (found,) if isinstance(found, Tensor) else found
        gradients: list[Tensor | None] = [None] * num_arguments
        for bit, position in enumerate(positions):
            gradients[position] = found[bit] if wanted >> bit & 1 else None
        return tuple(gradients)

    def refuse(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(f"{name}: the gradient of its gradient is not implemented")

    torch.library.register_autograd(f"{_NAMESPACE}::{name}", differentiate, setup_context=save, lib=_LIBRARY)
    torch.library.register_autograd(f"{_NAMESPACE}::{name}_backward", refuse, lib=_LIBRARY)
