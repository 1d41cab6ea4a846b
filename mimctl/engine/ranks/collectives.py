"""What ranks do together beyond the engine's own needs, in MMEngine's names (`mmengine.dist`).

Without a process group each function does what it would for a single rank. No object is ever pickled: what travels is
plain data, tensors and numpy arrays.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from mimctl.engine.ranks.distributed import (
    Group,
    all_gather_object,
    all_reduce,
    collect_results,
    get_rank,
    get_world_size,
    init,
    is_distributed,
    is_main_process,
)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def get_dist_info(group: Group = None) -> tuple[int, int]:
    """Return (rank, number of ranks)."""
    return get_rank(group), get_world_size(group)


def get_local_size() -> int:
    """Return the number of ranks on this node, as the launcher says."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def get_default_group() -> Group:
    """Return the group of all ranks, None without one."""
    return dist.group.WORLD if is_distributed() else None


def get_backend(group: Group = None) -> str | None:
    """Return the backend's name (`gloo`, `nccl`, …), None without a process group."""
    return str(dist.get_backend(group)) if is_distributed() else None


def init_dist(launcher: str, backend: str = "nccl", init_backend: str = "torch", **kwargs: Any) -> None:
    """Join the process group that the launcher has put into the environment.

    CUDA tensors travel over `backend`, others over gloo. `kwargs` may hold `timeout`, in seconds.
    """
    timeout = kwargs.get("timeout")
    init(launcher, backend=backend, timeout_s=float(timeout) if timeout is not None else None)


def infer_launcher() -> str:
    """Return the launcher that started this process: `pytorch`, `slurm` or `none`."""
    if "WORLD_SIZE" in os.environ:
        return "pytorch"
    return "slurm" if "SLURM_NTASKS" in os.environ else "none"


def master_only(func: Callable[P, R]) -> Callable[P, R | None]:
    """Decorate a function that only rank 0 runs; elsewhere it returns None."""

    @functools.wraps(func)
    def run(*args: P.args, **kwargs: P.kwargs) -> R | None:
        return func(*args, **kwargs) if is_main_process() else None

    return run


def broadcast(data: Tensor, src: int = 0, group: Group = None) -> None:
    """Give all ranks rank `src`'s content of the tensor, in place."""
    if get_world_size(group) > 1:
        dist.broadcast(data, src, group)


def broadcast_object_list(data: list[Any], src: int = 0, group: Group = None) -> None:
    """Give all ranks of the group the items of the list of rank `src` of all, in place."""
    if get_world_size(group) > 1:
        place = dist.get_group_rank(group, src) if group is not None else src
        data[:] = all_gather_object(data if get_rank() == src else None, group)[place]


def all_gather(data: Tensor, group: Group = None) -> list[Tensor]:
    """Return every rank's tensor; all are of one shape."""
    if get_world_size(group) == 1:
        return [data]
    places = [torch.empty_like(data) for _ in range(get_world_size(group))]
    dist.all_gather(places, data.contiguous(), group)
    return places


def gather(data: Tensor, dst: int = 0, group: Group = None) -> list[Tensor]:
    """Return every rank's tensor on rank `dst` of all, an empty list elsewhere; all are of one shape."""
    if get_world_size(group) == 1:
        return [data]
    places = [torch.empty_like(data) for _ in range(get_world_size(group))] if get_rank() == dst else None
    dist.gather(data.contiguous(), places, dst, group)
    return places or []


def all_reduce_dict(data: MutableMapping[str, Tensor], op: str = "sum", group: Group = None) -> None:
    """Reduce every tensor of a dict over all ranks, in place, in one exchange per kind of number."""
    for names in _by_kind(data):
        flat = all_reduce(torch.cat([data[name].reshape(-1) for name in names]), op, group)
        parts = torch.split(flat, [data[name].numel() for name in names])
        for name, part in zip(names, parts, strict=True):
            data[name] = part.reshape(data[name].shape)


def all_reduce_params(
    params: Iterable[Tensor], coalesce: bool = True, bucket_size_mb: int = -1, op: str = "sum", group: Group = None
) -> None:
    """Reduce parameters or buffers over all ranks, in place; one exchange per kind of number with `coalesce`."""
    tensors = {str(number): each.detach() for number, each in enumerate(params)}
    for names in _by_kind(tensors) if coalesce else [[name] for name in tensors]:
        flat = all_reduce(torch.cat([tensors[name].reshape(-1) for name in names]), op, group)
        parts = torch.split(flat, [tensors[name].numel() for name in names])
        for name, part in zip(names, parts, strict=True):
            tensors[name].copy_(part.reshape(tensors[name].shape))


def collect_results_cpu(result_part: Sequence[T], size: int, tmpdir: str | None = None) -> list[T] | None:
    """Do what `collect_results` does."""
    return collect_results(result_part, size, "cpu", tmpdir)


def collect_results_gpu(result_part: Sequence[T], size: int) -> list[T] | None:
    """Do what `collect_results` does."""
    return collect_results(result_part, size)


def sync_random_seed(group: Group = None) -> int:
    """Return a random seed, the same on every rank."""
    seed = torch.randint(2**31, (1,), dtype=torch.int64)
    broadcast(seed, 0, group)
    return int(seed.item())


def get_data_device(data: Any) -> torch.device:
    """Return the device of nested tensors. ValueError where they are on several or there is none."""
    devices = {tensor.device for tensor in _tensors(data)}
    if len(devices) != 1:
        raise ValueError(f"tensors of one device are needed, got {sorted(map(str, devices)) or 'none'}")
    return devices.pop()


def get_comm_device(group: Group = None) -> torch.device:
    """Return the device whose tensors the group can exchange."""
    return torch.device("cuda", torch.cuda.current_device()) if get_backend(group) == "nccl" else torch.device("cpu")


def cast_data_device(data: Any, device: torch.device, out: Any = None) -> Any:
    """Return nested tensors on a device, or copy them into the tensors of `out`, which is nested alike."""
    if isinstance(data, Tensor):
        moved = data.to(device)
        return moved if out is None else out.copy_(moved)
    if isinstance(data, Mapping):
        held = {key: cast_data_device(each, device, None if out is None else out[key]) for key, each in data.items()}
        return type(data)(held)  # type: ignore[call-arg]
    if isinstance(data, list | tuple):
        targets = out if out is not None else [None] * len(data)
        return type(data)(cast_data_device(each, device, to) for each, to in zip(data, targets, strict=True))
    raise TypeError(f"tensors, and dicts and lists of them, have a device; a {type(data).__name__} has not")


def _by_kind(data: Mapping[str, Tensor]) -> list[list[str]]:
    kinds: dict[tuple[torch.dtype, torch.device], list[str]] = {}
    for name in sorted(data):
        kinds.setdefault((data[name].dtype, data[name].device), []).append(name)
    return list(kinds.values())


def _tensors(data: Any) -> Iterable[Tensor]:
    if isinstance(data, Tensor):
        yield data
    elif isinstance(data, Mapping | list | tuple):
        for each in data.values() if isinstance(data, Mapping) else data:
            yield from _tensors(each)
