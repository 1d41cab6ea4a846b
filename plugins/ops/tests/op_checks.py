"""What every operator is held to, whichever tier serves: torch's own op checks, gradients, whole-graph compilation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import mimctl_ops

IS_COMPILED = mimctl_ops.status().tier == "compiled"


def check_operator(name: str, *args: Any) -> None:
    """Run `torch.library.opcheck` on `torch.ops.mimctl_ops.<name>`, and on its backward where it has one."""
    overload = getattr(torch.ops.mimctl_ops, name).default
    assert set(torch.library.opcheck(overload, args).values()) == {"SUCCESS"}
    backward = getattr(torch.ops.mimctl_ops, f"{name}_backward", None)
    if backward is None:
        return
    plain = [arg.detach() if isinstance(arg, Tensor) else arg for arg in args]
    num_results = len(backward.default._schema.returns)
    for wanted in {1, (1 << num_results) - 1}:
        checked = torch.library.opcheck(backward.default, (torch.ones_like(overload(*plain)), *plain, wanted))
        assert set(checked.values()) == {"SUCCESS"}


def check_gradients(function: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Compare the gradients of float64 inputs that require them with finite differences."""
    assert torch.autograd.gradcheck(function, inputs, nondet_tol=1e-12)


def check_against_twin(
    function: Callable[..., Any],
    twin: Callable[..., Any],
    *args: Any,
    rtol: float | None = None,
    atol: float | None = None,
    **kwargs: Any,
) -> None:
    """Compare results, and the gradients of all arguments that require one, with those of the pure-PyTorch twin."""
    ours, theirs = _clone(args), _clone(args)
    found, expected = _as_tuple(function(*ours, **kwargs)), _as_tuple(twin(*theirs, **kwargs))
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)
    if not any(each.requires_grad for each in found):
        return
    generator = torch.Generator().manual_seed(0)
    for results in (found, expected):
        generator.manual_seed(0)
        loss = sum(
            (each * torch.randn(each.shape, generator=generator, dtype=torch.float64).to(each)).sum()
            for each in results
            if each.requires_grad
        )
        loss.backward()
    for mine, reference in zip(ours, theirs, strict=True):
        if isinstance(mine, Tensor) and mine.requires_grad:
            torch.testing.assert_close(mine.grad, reference.grad, rtol=rtol, atol=atol)


def check_compiles(function: Callable[..., Any], *inputs: Sequence[Any]) -> None:
    """Compile `function` as one graph and compare it with itself, for each of several inputs."""
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for args in inputs:
        torch.testing.assert_close(compiled(*args), function(*args))


def _clone(args: Sequence[Any]) -> list[Any]:
    return [arg.detach().clone().requires_grad_(arg.requires_grad) if isinstance(arg, Tensor) else arg for arg in args]


def _as_tuple(result: Any) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)
