"""Batch norm over ranks equals batch norm over the batch that the ranks have together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mimctl.engine.ranks.distributed import all_gather_object
from mimctl.engine.ranks.parallel import wrap_model
from mimctl.engine.ranks.sync_batch_norm import SyncBatchNorm, convert_sync_batchnorm, revert_sync_batchnorm
from tests.engine.ranks import on_ranks

CPU = torch.device("cpu")


def batch_of(shares: list[int], shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(sum(shares), *shape, generator=generator, dtype=torch.float64) + 100


def layer_of(kind: type[nn.Module], **options: Any) -> Any:
    layer: Any = kind(3, **options).double()
    if layer.affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            layer.bias.copy_(torch.tensor([0.1, 0.0, -0.3]))
    return layer


def passes(layer: Any, share: Tensor, weights: Tensor) -> dict[str, Any]:
    """Do two steps in training mode and one in eval mode, and return all that they leave."""
    told: dict[str, Any] = {}
    for step in range(2):
        input = (share * (step + 1)).requires_grad_()
        output = layer(input)
        (output * weights).sum().backward()
        told[f"output {step}"], told[f"gradient {step}"] = output.tolist(), input.grad.tolist()  # type: ignore[union-attr]
    if layer.affine:
        told["weight"], told["bias"] = layer.weight.grad.tolist(), layer.bias.grad.tolist()
    if layer.running_mean is not None:
        told["mean"], told["variance"] = layer.running_mean.tolist(), layer.running_var.tolist()
        told["batches"] = int(layer.num_batches_tracked)
        told["eval"] = layer.eval()(share).tolist()
    return told


def synced(rank: int, shares: list[int], shape: list[int], options: dict[str, Any]) -> dict[str, Any]:
    whole = batch_of(shares, tuple(shape))
    weights = torch.cos(whole)
    mine = slice(sum(shares[:rank]), sum(shares[: rank + 1]))
    return passes(layer_of(SyncBatchNorm, **options), whole[mine], weights[mine])


@pytest.mark.parametrize(
    ("shares", "shape", "options"),
    [
        ([4, 4], (3, 5, 2), {}),
        ([6, 1], (3, 4), {}),
        ([5, 0], (3, 2, 2), {}),
        ([2, 3], (3,), {"momentum": None}),
        ([2, 3], (3, 2, 2, 2), {"affine": False}),
        ([2, 2], (3, 3), {"track_running_stats": False}),
    ],
)
def test_ranks_compute_what_one_process_does(
    shares: list[int], shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    ranks = on_ranks(synced, shares, list(shape), options)
    whole = batch_of(shares, shape)
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}[len(shape)]
    alone = passes(layer_of(kind, **options), whole, torch.cos(whole))
    for name, expected in alone.items():
        parts = [torch.tensor(each[name], dtype=torch.float64) for each in ranks]
        if name.split()[0] in ("output", "gradient", "eval"):
            found = torch.cat([each.reshape(-1, *shape) for each in parts])
        elif name in ("weight", "bias"):
            found = parts[0] + parts[1]
        else:
            assert torch.equal(parts[0], parts[1])
            found = parts[0]
        assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9), name


def half_precision(rank: int) -> dict[str, Any]:
    whole = batch_of([4, 4], (3, 4, 4)).float() / 50
    layer = layer_of(SyncBatchNorm).float()
    input = whole[4 * rank : 4 * rank + 4].bfloat16().requires_grad_()
    output = layer(input)
    output.sum().backward()
    assert input.grad is not None
    return {"type": str(output.dtype), "grad": str(input.grad.dtype), "output": output.float().tolist()}


def test_bfloat16_is_normalised_by_precise_statistics() -> None:
    ranks = on_ranks(half_precision)
    assert [(each["type"], each["grad"]) for each in ranks] == [("torch.bfloat16", "torch.bfloat16")] * 2
    whole = (batch_of([4, 4], (3, 4, 4)).float() / 50).bfloat16().float()
    expected = layer_of(nn.BatchNorm2d).float()(whole)
    found = torch.cat([torch.tensor(each["output"]) for each in ranks])
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def one_value(rank: int) -> str:
    with pytest.raises(ValueError, match="more than one value"):
        SyncBatchNorm(3)(torch.ones(1 - rank, 3))
    return "refused"


def test_one_value_a_channel_is_refused_on_every_rank() -> None:
    assert on_ranks(one_value) == ["refused", "refused"]


def converted(rank: int) -> dict[str, Any]:
    torch.manual_seed(rank)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Sequential(nn.SyncBatchNorm(3)))
    kept = wrap_model(nn.Sequential(nn.BatchNorm2d(3), nn.SyncBatchNorm(3)), CPU).module
    wrapped = wrap_model(model, CPU, sync_bn="torch")
    wrapped(torch.rand(2, 3, 4, 4) + rank)[0].sum().backward()
    return {
        "kinds": [type(each).__name__ for each in model.modules()],
        "kept": [type(each).__name__ for each in kept],  # type: ignore[union-attr]
        "statistics": all_gather_object(model[1].running_mean)[0].tolist(),
        "own": model[1].running_mean.tolist(),
    }


def test_a_model_is_converted_where_several_ranks_train() -> None:
    first, second = on_ranks(converted)
    assert first["kinds"] == ["Sequential", "Conv2d", "CpuSyncBatchNorm", "Sequential", "CpuSyncBatchNorm"]
    assert first["kept"] == ["BatchNorm2d", "CpuSyncBatchNorm"]
    assert first["own"] == second["own"] == second["statistics"]


def test_conversion_keeps_parameters_and_can_be_taken_back() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3, eps=1e-3, momentum=0.03), nn.Sequential(nn.BatchNorm1d(2)))
    model[0].weight.requires_grad_(False)
    model[1].eval()
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=1.0)
    names = list(model.state_dict())
    there = convert_sync_batchnorm(model)
    assert isinstance(there[0], SyncBatchNorm)  # type: ignore[index]
    assert isinstance(there[1][0], SyncBatchNorm)  # type: ignore[index]
    back: Any = revert_sync_batchnorm(there)
    assert not any(isinstance(each, nn.SyncBatchNorm) for each in back.modules())
    assert (back[0].eps, back[0].momentum, back[0].weight.requires_grad, back[0].training) == (1e-3, 0.03, False, True)
    assert not back[1][0].training
    assert list(back.state_dict()) == names
    assert back[1][0].weight is optimizer.param_groups[0]["params"][1], "an optimizer that was made before holds on"


def test_without_ranks_it_is_plain_batch_norm() -> None:
    input = torch.rand(4, 3, 2, 2)
    assert torch.equal(SyncBatchNorm(3)(input), nn.BatchNorm2d(3)(input))
