"""Questions about values and small changes of lists and tuples, in MMEngine's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any


def is_str(x: Any) -> bool:
    """Say whether `x` is a text."""
    return isinstance(x, str)


def is_seq_of(seq: Any, expected_type: type | tuple[type, ...], seq_type: type | None = None) -> bool:
    """Say whether `seq` is a sequence (of `seq_type`) whose items all are of the expected type."""
    wanted: Any = seq_type or Sequence
    return isinstance(seq, wanted) and all(isinstance(each, expected_type) for each in seq)


def is_list_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Say whether `seq` is a list whose items all are of the expected type."""
    return is_seq_of(seq, expected_type, list)


def is_tuple_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Say whether `seq` is a tuple whose items all are of the expected type."""
    return is_seq_of(seq, expected_type, tuple)


def iter_cast(
    inputs: Iterable[Any], dst_type: Callable[[Any], Any], return_type: Callable[[Iterator[Any]], Any] | None = None
) -> Any:
    """Convert every item; return them as `return_type`, or as an iterator. TypeError where there are no items."""
    if not isinstance(inputs, Iterable):
        raise TypeError(f"there are no items in a {type(inputs).__name__}")
    if not callable(dst_type):
        raise TypeError(f"`dst_type` must be a type, got {dst_type!r}")
    converted = map(dst_type, inputs)
    return converted if return_type is None else return_type(converted)


def list_cast(inputs: Iterable[Any], dst_type: Callable[[Any], Any]) -> list[Any]:
    """Convert every item; return a list."""
    return list(iter_cast(inputs, dst_type))


def tuple_cast(inputs: Iterable[Any], dst_type: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Convert every item; return a tuple."""
    return tuple(iter_cast(inputs, dst_type))


def slice_list(in_list: list[Any], lens: int | list[int]) -> list[list[Any]]:
    """Cut a list into parts of the given lengths (one number: each of that length). ValueError if it does not fit."""
    if isinstance(lens, int):
        if lens <= 0 or len(in_list) % lens:
            raise ValueError(f"a list of {len(in_list)} cannot be cut into parts of {lens}")
        lens = [lens] * (len(in_list) // lens)
    if not isinstance(lens, list):
        raise TypeError(f"`lens` must be a number or a list of them, got {lens!r}")
    if sum(lens) != len(in_list):
        raise ValueError(f"parts of {sum(lens)} in all cannot be cut from a list of {len(in_list)}")
    items = iter(in_list)
    return [[next(items) for _ in range(each)] for each in lens]


def concat_list(in_list: Iterable[Iterable[Any]]) -> list[Any]:
    """Return the items of all lists in one."""
    return list(chain.from_iterable(in_list))


def to_ntuple(n: int) -> Callable[[Any], Any]:
    """Return a function that makes a tuple of `n` times its argument; what has items (a text too) stays as it is."""

    def parse(x: Any) -> Any:
        return x if isinstance(x, Iterable) else tuple(repeat(x, n))

    return parse


to_1tuple = to_ntuple(1)
to_2tuple = to_ntuple(2)
to_3tuple = to_ntuple(3)
to_4tuple = to_ntuple(4)
