"""The exchanges of MMEngine's `dist`, on two and three real ranks: kinds of tensors, groups, and what is refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed as dist

from mimctl import engine
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.collectives import all_reduce_params
from tests.engine.ranks import on_ranks

WITNESS = Path(tempfile.gettempdir(), "what-a-hostile-object-would-leave")


class Hostile:
    """What must not be unpickled anywhere."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {WITNESS}",)


def tensors(rank: int) -> dict[str, Any]:
    """Exchange tensors of each kind."""
    strided = torch.arange(6).reshape(2, 3).t() + 10 * rank
    broadcast = torch.full((3, 2), rank).t()
    engine.broadcast(broadcast, src=1)
    flags = torch.tensor([rank == 0, True, False])
    told: dict[str, Any] = {
        "strided": [each.tolist() for each in engine.all_gather(strided)],
        "gather": [each.tolist() for each in engine.gather(strided, dst=1)],
        "scalar": [each.tolist() for each in engine.all_gather(torch.tensor(float(rank)))],
        "bool": [each.tolist() for each in engine.all_gather(flags)],
        "empty": [list(each.shape) for each in engine.all_gather(torch.zeros(0, 4))],
        "half": [each.tolist() for each in engine.all_gather(torch.tensor([rank + 0.5], dtype=torch.bfloat16))],
        "broadcast": broadcast.tolist(),
    }
    for op in ("sum", "mean", "max", "min", "product"):
        told[op] = engine.all_reduce(torch.tensor([1.0 + rank, 2.0]), op).tolist()
    told["strided sum"] = engine.all_reduce(strided.clone().t(), "sum").tolist()
    with pytest.raises(ValueError, match="median"):
        engine.all_reduce(torch.tensor(1.0), "median")
    return told


def test_tensors() -> None:
    first, second = on_ranks(tensors)
    assert (first.pop("gather"), second.pop("gather")) == ([], first["strided"])
    assert first == second
    assert first == {
        "strided": [[[0, 3], [1, 4], [2, 5]], [[10, 13], [11, 14], [12, 15]]],
        "scalar": [0.0, 1.0],
        "bool": [[True, True, False], [False, True, False]],
        "empty": [[0, 4], [0, 4]],
        "half": [[0.5], [1.5]],
        "broadcast": [[1, 1, 1], [1, 1, 1]],
        "sum": [3.0, 4.0],
        "mean": [1.5, 2.0],
        "max": [2.0, 2.0],
        "min": [1.0, 2.0],
        "product": [2.0, 4.0],
        "strided sum": [[10, 12, 14], [16, 18, 20]],
    }


def objects(rank: int) -> dict[str, Any]:
    """Exchange plain data, tensors and numpy arrays of another size on each rank."""
    mine = {"rank": rank, "nested": [(1, "ü"), None, {"deep": 2.5}], "long": "x" * (1 + 5000 * rank), "flag": rank == 0}
    gathered = engine.gather_object(mine, dst=1) or []
    records = [np.arange(rank + 1), torch.ones(rank, 2), np.float32(0.5), np.array("a"), np.zeros((0, 5))]
    arrays = engine.all_gather_object(records)
    shared: list[Any] = [rank, [rank], {"array": np.full(2, rank)}] if rank == 1 else [None] * 3
    engine.broadcast_object_list(shared, src=1)
    first = distributed.from_first({"name": f"rank {rank}", "none": None, "nan": float("nan")})
    refused = []
    for value in (Hostile(), [{"deep": Hostile()}], os.system):
        with pytest.raises(Exception, match=r"system|Hostile|pickle|weights_only|Unsupported") as caught:
            engine.all_gather_object(value)
        refused.append(type(caught.value).__name__)
    return {
        "gathered": [[each["rank"], len(each["long"]), each["flag"]] for each in gathered],
        "nested": [each["nested"] == [(1, "ü"), None, {"deep": 2.5}] for each in gathered],
        "arrays": [[list(np.shape(each)) for each in one] for one in arrays],
        "kinds": [type(each).__name__ for each in arrays[1]],
        "shared": [shared[0], shared[1], shared[2]["array"].tolist()],
        "first": [first["name"], first["none"], first["nan"] != first["nan"]],
        "empty": engine.all_gather_object([]),
        "nothing": engine.all_gather_object(None),
        "refused": len(refused),
    }


def test_objects_travel_as_data() -> None:
    WITNESS.unlink(missing_ok=True)
    first, second = on_ranks(objects)
    assert (first.pop("gathered"), second.pop("gathered")) == ([], [[0, 1, True], [1, 5001, False]])
    assert (first.pop("nested"), second.pop("nested")) == ([], [True, True])
    assert first == second
    assert first == {
        "arrays": [[[1], [0, 2], [], [], [0, 5]], [[2], [1, 2], [], [], [0, 5]]],
        "kinds": ["ndarray", "Tensor", "float32", "ndarray", "ndarray"],
        "shared": [1, [1], [1, 1]],
        "first": ["rank 0", None, True],
        "empty": [[], []],
        "nothing": [None, None],
        "refused": 3,
    }
    assert not WITNESS.exists()


def results(rank: int, counts: list[int]) -> Any:
    """Collect results of which each rank has another number."""
    ranks = len(counts)
    mine = [rank + ranks * number for number in range(counts[rank])]
    size = sum(counts) - (sum(counts) % 2)
    found = [
        engine.collect_results(mine, size),
        engine.collect_results(mine, size, device="cpu", tmpdir="/nonexistent"),
        engine.collect_results_cpu(mine, size, "/nonexistent"),
        engine.collect_results_gpu(mine, size),
    ]
    assert found.count(found[0]) == len(found)
    return found[0]


@pytest.mark.parametrize("counts", [[3, 3], [3, 2], [1, 0], [0, 0]])
def test_results_stand_in_the_order_of_the_data(counts: list[int]) -> None:
    first, second = on_ranks(results, counts)
    total = sum(counts)
    assert first == list(range(total - total % 2))
    assert second is None


def names(rank: int) -> dict[str, Any]:
    """Average numbers of which each rank has others."""
    values = {"both": 1.0 + rank, f"only {rank}": 5.0, "nan": float("nan") if rank else 1.0}
    told = distributed.mean_by_name(values)
    nothing = distributed.mean_by_name({"late": 2.0} if rank else {})
    return {"both": told["both"], "only": [told["only 0"], told["only 1"]], "nan": str(told["nan"]), "late": nothing}


def test_numbers_are_averaged_over_the_ranks_that_have_them() -> None:
    first, second = on_ranks(names)
    assert first == second == {"both": 1.5, "only": [5.0, 5.0], "nan": "nan", "late": {"late": 2.0}}


def dicts(rank: int) -> dict[str, Any]:
    """Reduce dicts and parameters of several kinds of numbers."""
    held = {"b": torch.tensor([1.0, rank]), "a": torch.tensor(rank), "c": torch.ones(2, 2, dtype=torch.float64)}
    if rank:
        held = dict(reversed(held.items()))  # order of names is no agreement
    engine.all_reduce_dict(held, "sum")
    params = [torch.full((2,), float(rank)), torch.full((1, 2), rank, dtype=torch.int64), torch.ones(3, 2).t() * rank]
    all_reduce_params(params, coalesce=True, op="max")
    single = [torch.full((2,), float(rank))]
    all_reduce_params(single, coalesce=False, op="mean")
    return {
        "dict": {name: held[name].tolist() for name in sorted(held)},
        "params": [each.tolist() for each in params],
        "single": single[0].tolist(),
        "seed": engine.sync_random_seed(),
        "comm": str(engine.get_comm_device()),
        "info": list(engine.get_dist_info()),
        "backend": engine.get_backend(),
        "is_default": engine.get_default_group() is dist.group.WORLD,
    }


def test_dicts_parameters_and_seeds() -> None:
    first, second = on_ranks(dicts)
    assert (first.pop("info"), second.pop("info")) == ([0, 2], [1, 2])
    seeds = {first.pop("seed"), second.pop("seed")}
    assert len(seeds) == 1
    assert first == second
    assert first == {
        "dict": {"a": 1, "b": [2.0, 1.0], "c": [[2.0, 2.0], [2.0, 2.0]]},
        "params": [[1.0, 1.0], [[1, 1]], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]],
        "single": [0.5, 0.5],
        "comm": "cpu",
        "backend": "gloo",
        "is_default": True,
    }


def groups(rank: int) -> dict[str, Any]:
    """Exchange within the group of the last two of three ranks; rank 0 stays outside."""
    pair = dist.new_group([1, 2])
    if rank == 0:
        return {"alone": engine.all_gather_object("all of us")}
    data = torch.tensor([float(rank)])
    engine.broadcast(data, src=2, group=pair)
    told = {
        "rank": engine.get_rank(pair),
        "size": engine.get_world_size(pair),
        "sum": engine.all_reduce(torch.tensor(rank), "sum", pair).item(),
        "mean": engine.all_reduce(torch.tensor(float(rank)), "mean", pair).item(),
        "gathered": engine.all_gather_object(rank, pair),
        "tensors": [each.item() for each in engine.all_gather(torch.tensor(rank), pair)],
        "broadcast": data.tolist(),
        "to one": engine.gather_object(rank, dst=2, group=pair),
        "main": engine.is_main_process(pair),
    }
    engine.barrier(pair)
    return {**told, "alone": engine.all_gather_object("all of us")}


def test_groups_of_ranks() -> None:
    outside, one, two = on_ranks(groups, count=3)
    assert outside == {"alone": ["all of us"] * 3}
    assert (one.pop("rank"), two.pop("rank")) == (0, 1)
    assert (one.pop("main"), two.pop("main")) == (True, False)
    assert (one.pop("to one"), two.pop("to one")) == (None, [1, 2])
    assert one == two
    assert one == {
        "size": 2,
        "sum": 3,
        "mean": 1.5,
        "gathered": [1, 2],
        "tensors": [1, 2],
        "broadcast": [2.0],
        "alone": ["all of us"] * 3,
    }
