"""What `mimctl_ops.sigmoid_focal_loss` promises, whichever tier serves."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_gradients, check_operator
from torch import Tensor

from mimctl_ops import SigmoidFocalLoss, reference, sigmoid_focal_loss


def samples(num: int, num_classes: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num, num_classes, generator=generator, dtype=torch.float64) * 4
    return logits.to(dtype), torch.randint(-1, num_classes + 1, (num,), generator=generator)


def test_value_is_that_of_the_formula() -> None:
    logits, target = torch.tensor([[0.3, -1.2]], dtype=torch.float64), torch.tensor([1])
    p = [1 / (1 + math.exp(-x)) for x in (0.3, -1.2)]
    expected = [-0.7 * p[0] ** 2 * math.log(1 - p[0]), -0.3 * (1 - p[1]) ** 2 * math.log(p[1])]
    for loss in (sigmoid_focal_loss, reference.sigmoid_focal_loss):
        found = loss(logits, target, alpha=0.3, reduction="none")
        assert found[0].tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("num", "num_classes"), [(0, 3), (3, 0), (1, 1), (37, 5), (400, 80)])
@pytest.mark.parametrize("has_weight", [False, True])
def test_operator_equals_its_twin(num: int, num_classes: int, has_weight: bool, dtype: torch.dtype) -> None:
    logits, target = samples(num, num_classes, dtype)
    weight = torch.linspace(0.5, 2, num_classes, dtype=dtype) if has_weight else None
    for reduction in ("none", "sum", "mean"):
        twins = sigmoid_focal_loss, reference.sigmoid_focal_loss
        check_against_twin(*twins, logits.requires_grad_(), target, 1.5, 0.3, weight, reduction)


def test_mean_is_over_samples() -> None:
    logits, target = samples(10, 4)
    expected = sigmoid_focal_loss(logits, target, reduction="none").sum() / 10
    torch.testing.assert_close(sigmoid_focal_loss(logits, target), expected)


def test_samples_without_a_class_are_negatives_of_all_classes() -> None:
    logits, _ = samples(6, 4)
    far = sigmoid_focal_loss(logits, torch.full((6,), 4), reduction="none")
    below = sigmoid_focal_loss(logits, torch.full((6,), -1), weight=torch.full((4,), 9.0), reduction="none")
    assert torch.equal(far, below)
    assert torch.equal(far, sigmoid_focal_loss(logits, torch.full((6,), 2**40), reduction="none"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    logits, target = samples(50, 7, dtype)
    expected = sigmoid_focal_loss(logits.float(), target, reduction="none").to(dtype)
    assert torch.equal(sigmoid_focal_loss(logits, target, reduction="none"), expected)


def test_large_logits_give_finite_losses_and_gradients() -> None:
    logits = torch.tensor([[1e4, -1e4, 88.0, -88.0]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1]), reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(0.75 * (1e4 + 88) + 0.25 * 1e4, rel=1e-5)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_module_is_the_function() -> None:
    logits, target = samples(9, 3)
    weight = torch.tensor([1.0, 2.0, 3.0])
    module = SigmoidFocalLoss(1.0, 0.5, weight, "sum")
    assert torch.equal(module(logits, target), sigmoid_focal_loss(logits, target, 1.0, 0.5, weight, "sum"))


def test_gradients_pass_finite_differences() -> None:
    logits, target = samples(7, 3, torch.float64)
    check_gradients(lambda x: sigmoid_focal_loss(x, target, 2.5, 0.4, reduction="none"), logits.requires_grad_())


def test_operator_passes_the_checks_of_torch() -> None:
    for num in (0, 5):
        logits, target = samples(num, 4)
        check_operator("sigmoid_focal_loss", logits.requires_grad_(), target, torch.ones(4), 2.0, 0.25)
        check_operator("sigmoid_focal_loss", logits, target, None, 2.0, 0.25)


def test_a_whole_graph_compiles() -> None:
    check_compiles(lambda x, t: sigmoid_focal_loss(x, t) * 2, samples(5, 4), samples(9, 4, seed=1))


def test_a_gradient_of_the_gradient_is_refused() -> None:
    logits, target = samples(4, 3)
    logits.requires_grad_()
    (grad,) = torch.autograd.grad(sigmoid_focal_loss(logits, target), logits, create_graph=True)
    with pytest.raises(NotImplementedError, match="sigmoid_focal_loss"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((torch.zeros(3), torch.zeros(3, dtype=torch.int64)), "input"),
        ((torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)), "input"),
        ((torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64)), "target"),
        ((torch.zeros(3, 2), torch.zeros(3)), "target"),
        ((torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), 2.0, 0.25, torch.ones(3)), "weight"),
        ((torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), 2.0, 0.25, None, "average"), "reduction"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"sigmoid_focal_loss: {name}"):
        sigmoid_focal_loss(*arguments)  # type: ignore[arg-type]


numbers = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, float("inf"), float("-inf"), float("nan")]))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_numbers_give_a_result_and_never_a_crash(data: st.DataObject) -> None:
    num, num_classes = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 4))
    values = data.draw(st.lists(numbers, min_size=num * num_classes, max_size=num * num_classes))
    target = data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=num, max_size=num))
    logits = torch.tensor(values).reshape(num, num_classes).requires_grad_()
    loss = sigmoid_focal_loss(logits, torch.tensor(target, dtype=torch.int64), reduction="none")
    loss.sum().backward()
    assert loss.shape == (num, num_classes)
    assert not (loss < 0).any()


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 3), max_size=3))
@settings(max_examples=60, deadline=None)
def test_the_raw_operator_refuses_other_shapes_without_a_crash(first: list[int], second: list[int]) -> None:
    logits, target = torch.zeros(first), torch.zeros(second, dtype=torch.int64)
    try:
        loss = torch.ops.mimctl_ops.sigmoid_focal_loss(logits, target, None, 2.0, 0.25)
    except (RuntimeError, ValueError, IndexError):
        return
    assert (logits.dim(), target.dim(), loss.shape) == (2, 1, logits.shape)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_cuda_equals_the_cpu(dtype: torch.dtype) -> None:
    logits, target = samples(300, 20, dtype)
    here, there = logits.clone().requires_grad_(), logits.cuda().requires_grad_()
    sigmoid_focal_loss(here, target, reduction="sum").backward()
    sigmoid_focal_loss(there, target.cuda(), reduction="sum").backward()
    assert here.grad is not None
    assert there.grad is not None
    torch.testing.assert_close(there.grad.cpu(), here.grad)
