"""Ranks and collectives: `torch.distributed` behind functions that also work in a single process."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor
from torch import distributed as dist

from mimctl.engine.ranks.meeting import require_meeting_place

T = TypeVar("T")
Group = dist.ProcessGroup | None

_REDUCTIONS = {
    "sum": dist.ReduceOp.SUM,
    "mean": dist.ReduceOp.SUM,
    "max": dist.ReduceOp.MAX,
    "min": dist.ReduceOp.MIN,
    "product": dist.ReduceOp.PRODUCT,
}


class Member(Protocol):
    """What holds the process group for as long as it lives: a wrapped model."""

    def leave(self) -> None:
        """Let go of the group."""


_members: WeakSet[Member] = WeakSet()


def is_distributed() -> bool:
    """Return whether a process group is initialised."""
    return dist.is_available() and dist.is_initialized()


def get_rank(group: Group = None) -> int:
    """Return this process's rank (in `group`, default all), 0 without a process group."""
    return dist.get_rank(group) if is_distributed() else 0


def get_world_size(group: Group = None) -> int:
    """Return the number of ranks (in `group`, default all), 1 without a process group."""
    return dist.get_world_size(group) if is_distributed() else 1


def get_local_rank() -> int:
    """Return the rank on this node."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main_process(group: Group = None) -> bool:
    """Return whether this is rank 0."""
    return get_rank(group) == 0


def get_device() -> torch.device:
    """Return the device this rank computes on: its GPU if one is visible, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def init(launcher: str = "none", *, backend: str | None = None, timeout_s: float | None = None) -> None:
    """Join the process group that the launcher has put into the environment; `none` needs no group.

    CPU tensors travel over gloo in any case; CUDA tensors over `backend` (default nccl) where a GPU is visible.
    """
    if launcher == "none" or is_distributed():
        return
    kind = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(get_local_rank() % torch.cuda.device_count())
        kind = f"cpu:gloo,cuda:{'nccl' if backend in (None, 'gloo') else backend}"
    options: dict[str, Any] = {}
    if timeout_s is not None:
        from datetime import timedelta

        options["timeout"] = timedelta(seconds=timeout_s)
    require_meeting_place()
    # Defaults of its functions are the group that is there when torch imports it, sooner or later: held for ever.
    import_module("torch.distributed.nn.functional")
    dist.init_process_group(kind, **options)


def enroll(member: Member) -> None:
    """Have `member` let go of the process group when this process leaves it."""
    _members.add(member)


def shutdown() -> None:
    """Leave the process group, if there is one, and end its threads.

    What lives on may come to let go of a tensor while the interpreter ends, which aborts the process: so wrapped models
    let go of the group first. They compute on, but exchange no more gradients.
    """
    if not is_distributed():
        return
    for member in list(_members):
        member.leave()
    _members.clear()
    dist.destroy_process_group()


def barrier(group: Group = None) -> None:
    """Wait for all ranks."""
    if get_world_size(group) > 1:
        dist.barrier(group)


def all_reduce(data: Tensor, op: str = "sum", group: Group = None) -> Tensor:
    """Reduce in place over all ranks (`sum`, `mean`, `max`, `min`, `product`) and return the tensor."""
    world_size = get_world_size(group)
    if world_size == 1:
        return data
    if op.lower() not in _REDUCTIONS:
        raise ValueError(f"ranks reduce by {', '.join(_REDUCTIONS)}, not by {op!r}")
    dist.all_reduce(data, _REDUCTIONS[op.lower()], group)
    if op.lower() == "mean":
        data /= world_size
    return data


def any_rank(flag: bool) -> bool:
    """Return whether `flag` holds on some rank; every rank must call it."""
    if get_world_size() == 1:
        return flag
    return bool(all_reduce(torch.tensor(int(flag)), "max").item())


def broadcast_int(value: int) -> int:
    """Return rank 0's value on every rank."""
    if get_world_size() == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.int64)
    dist.broadcast(tensor, 0)
    return int(tensor.item())


def from_first(value: Any) -> Any:
    """Return rank 0's value on every rank: plain data, which travels as JSON; other numbers as floats."""
    if get_world_size() == 1:
        return value
    body = json.dumps(value, default=float).encode() if is_main_process() else b""
    tensor = torch.zeros(broadcast_int(len(body)), dtype=torch.uint8)
    if body:
        tensor = torch.frombuffer(bytearray(body), dtype=torch.uint8)
    dist.broadcast(tensor, 0)
    return value if is_main_process() else json.loads(tensor.numpy().tobytes())


def mean_by_name(values: Mapping[str, float]) -> dict[str, float]:
    """Return the mean of each number over the ranks that have one of its name; every rank must call it.

    Ranks may have other names than their neighbours, or none at all: names travel with the numbers.
    """
    if get_world_size() == 1:
        return dict(values)
    ranks: list[dict[str, float]] = all_gather_object({name: float(value) for name, value in values.items()})
    held: dict[str, list[float]] = {}
    for rank in ranks:
        for name, value in rank.items():
            held.setdefault(name, []).append(value)
    return {name: sum(numbers) / len(numbers) for name, numbers in held.items()}


def require_agreement(number: int, error: Callable[[list[int]], Exception]) -> None:
    """Raise `error(numbers of all ranks)` on every rank where they are not all the same."""
    numbers: list[int] = all_gather_object(int(number))
    if len(set(numbers)) > 1:
        raise error(numbers)


def share(tensors: Iterable[Tensor]) -> None:
    """Give all ranks rank 0's content of these tensors, in place; one exchange per kind of number."""
    if get_world_size() == 1:
        return
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for group in kinds.values():
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in group])
        dist.broadcast(flat, 0)
        for tensor, part in zip(group, torch.split(flat, [each.numel() for each in group]), strict=True):
            tensor.detach().copy_(part.reshape(tensor.shape))


def gather_object(data: Any, dst: int = 0, group: Group = None) -> list[Any] | None:
    """Return every rank's value on rank `dst` of all (None elsewhere): plain data, tensors and numpy arrays.

    Values travel as bytes of torch's format and are read with `weights_only`, so no object is unpickled.
    """
    world_size = get_world_size(group)
    if world_size == 1:
        return [data]
    padded, sizes = _padded(data, group)
    places = [torch.empty_like(padded) for _ in range(world_size)] if get_rank() == dst else None
    dist.gather(padded, places, dst=dst, group=group)
    if places is None:
        return None
    return [_decode(place[:size]) for place, size in zip(places, sizes, strict=True)]


def all_gather_object(data: Any, group: Group = None) -> list[Any]:
    """Return every rank's value on every rank, as `gather_object` does on one."""
    world_size = get_world_size(group)
    if world_size == 1:
        return [data]
    padded, sizes = _padded(data, group)
    places = [torch.empty_like(padded) for _ in range(world_size)]
    dist.all_gather(places, padded, group=group)
    return [_decode(place[:size]) for place, size in zip(places, sizes, strict=True)]


def collect_results(results: Sequence[T], size: int, device: str = "cpu", tmpdir: str | None = None) -> list[T] | None:
    """Return all ranks' results in dataset order on rank 0 (None elsewhere), at most `size` of them.

    Rank r holds samples r, r + world size, …, as DefaultSampler deals them; what it added to make the shares
    equal stands at the end and is cut off by position. Results travel by the CPU, through no file: `device` and
    `tmpdir` are accepted for MMEngine's sake.
    """
    parts = gather_object(list(results))
    if parts is None:
        return None
    longest = max(len(part) for part in parts)
    ordered = [part[place] for place in range(longest) for part in parts if place < len(part)]
    return ordered[:size]


def _padded(value: Any, group: Group) -> tuple[Tensor, list[int]]:
    """Return the value as bytes, as long as the longest of all ranks, and every rank's own length."""
    body = _encode(value)
    sizes = torch.zeros(get_world_size(group), dtype=torch.int64)
    sizes[get_rank(group)] = body.numel()
    dist.all_reduce(sizes, group=group)
    padded = torch.zeros(int(sizes.max().item()), dtype=torch.uint8)
    padded[: body.numel()] = body
    return padded, [int(each) for each in sizes.tolist()]


def _encode(value: Any) -> Tensor:
    stream = io.BytesIO()
    torch.save(value, stream)
    return torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)


def _decode(body: Tensor) -> Any:
    import numpy as np

    from mimctl.engine.checkpoints.checkpoint import numpy_globals

    # An empty array is made of `bytes()`; names in a record may be an array of texts.
    also: list[Any] = [bytes, *(type(np.dtype(code)) for code in ("U", "S", "c8", "c16"))]
    with torch.serialization.safe_globals([*numpy_globals(), *also]):
        return torch.load(io.BytesIO(body.numpy().tobytes()), map_location="cpu", weights_only=True)
