"""From a list of samples to a batch: structure kept (`pseudo_collate`) or tensors stacked (`default_collate`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data._utils.collate import default_collate as _torch_default_collate

from mimctl.engine.registry import FUNCTIONS


@FUNCTIONS.register_module()  # type: ignore[untyped-decorator]
def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Turn a list of samples into one structure whose leaves are lists; tensors are not stacked.

    `[{"inputs": a, "data_samples": x}, {"inputs": b, …}]` → `{"inputs": [a, b], "data_samples": [x, …]}`; samples of
    one batch may differ in size. Source: MMEngine `pseudo_collate`.
    """
    first = data_batch[0]
    if isinstance(first, Mapping):
        return type(first)({key: pseudo_collate([each[key] for each in data_batch]) for key in first})  # type: ignore[call-arg]
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(pseudo_collate(part) for part in zip(*data_batch, strict=True)))
    if isinstance(first, tuple | list):
        if any(len(each) != len(first) for each in data_batch):
            raise ValueError("samples of one batch hold lists of different lengths")
        parts = [pseudo_collate(part) for part in zip(*data_batch, strict=True)]
        return parts if isinstance(first, list) else tuple(parts)
    return list(data_batch)


@FUNCTIONS.register_module()  # type: ignore[untyped-decorator]
def default_collate(data_batch: Sequence[Any]) -> Any:
    """Stack tensors, arrays and numbers of the samples; data elements and strings stay lists."""
    first = data_batch[0]
    if isinstance(first, str | bytes) or _is_data_element(first):
        return list(data_batch)
    if isinstance(first, Mapping):
        return type(first)({key: default_collate([each[key] for each in data_batch]) for key in first})  # type: ignore[call-arg]
    if isinstance(first, tuple | list):
        if any(len(each) != len(first) for each in data_batch):
            raise ValueError("samples of one batch hold lists of different lengths")
        parts = [default_collate(part) for part in zip(*data_batch, strict=True)]
        return parts if isinstance(first, list) else tuple(parts)
    return _torch_default_collate(list(data_batch))  # type: ignore[no-untyped-call]


def _is_data_element(value: Any) -> bool:
    from mimctl.engine.structures import BaseDataElement

    return isinstance(value, BaseDataElement)
