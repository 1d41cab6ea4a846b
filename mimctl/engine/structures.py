"""Data that travels through a model: fields of one sample, of its instances, of its pixels, of its labels.

The four classes bear MMEngine's names and semantics: an element holds *metainfo* (facts about the sample, set by
`set_metainfo`) and *data* (set as attributes), and both are read as attributes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch

_INTERNAL = ("_metainfo", "_data")


class BaseDataElement:
    """Hold named data and named metainfo; a name is either one or the other.

    `FIELD_TYPES` of a subclass says which type each named data field must have (TypeError otherwise).
    """

    FIELD_TYPES: ClassVar[Mapping[str, type]] = {}

    _metainfo: dict[str, Any]
    _data: dict[str, Any]

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        object.__setattr__(self, "_metainfo", {})
        object.__setattr__(self, "_data", {})
        if metainfo is not None:
            self.set_metainfo(metainfo)
        for name, value in kwargs.items():
            setattr(self, name, value)

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Add or replace metainfo; values are copied deeply. AttributeError where the name is a data field."""
        for name, value in metainfo.items():
            self.set_field(copy.deepcopy(value), name, field_type="metainfo")

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Add or replace data fields."""
        for name, value in data.items():
            setattr(self, name, value)

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: Literal["data", "metainfo"] = "data",
    ) -> None:
        """Set one field; TypeError unless `value` is a `dtype`, AttributeError where the other kind holds the name."""
        wanted = dtype or self.FIELD_TYPES.get(name)
        if wanted is not None and not isinstance(value, wanted):
            raise TypeError(f"field `{name}` must be a {_names(wanted)}, not a {type(value).__name__}")
        own, other = (self._data, self._metainfo) if field_type == "data" else (self._metainfo, self._data)
        if name in other:
            raise AttributeError(f"`{name}` is already a field of the other kind (data and metainfo share their names)")
        own[name] = value

    def update(self, instance: BaseDataElement) -> None:
        """Take over all metainfo and data of another element."""
        self.set_metainfo(instance._metainfo)
        self.set_data(instance._data)

    def new(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> Self:
        """Return a new element of this type with this one's metainfo and data, or with those given instead."""
        made = type(self)()
        made.set_metainfo(self._metainfo if metainfo is None else metainfo)
        made.set_data(kwargs or self._data)
        return made

    def clone(self) -> Self:
        """Return a deep copy."""
        return copy.deepcopy(self)

    def keys(self) -> list[str]:
        """Return the names of the data fields."""
        return [self._public(name) for name in self._data]

    def metainfo_keys(self) -> list[str]:
        """Return the names of the metainfo."""
        return list(self._metainfo)

    def all_keys(self) -> list[str]:
        """Return the names of metainfo and data."""
        return [*self._metainfo, *self.keys()]

    def values(self) -> list[Any]:
        """Return the values of the data fields."""
        return list(self._data.values())

    def metainfo_values(self) -> list[Any]:
        """Return the values of the metainfo."""
        return list(self._metainfo.values())

    def all_values(self) -> list[Any]:
        """Return the values of metainfo and data."""
        return [*self._metainfo.values(), *self._data.values()]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) of the data fields."""
        yield from zip(self.keys(), list(self._data.values()), strict=True)

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) of the metainfo."""
        yield from list(self._metainfo.items())

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) of metainfo, then of data."""
        yield from self.metainfo_items()
        yield from self.items()

    @property
    def metainfo(self) -> dict[str, Any]:
        """Return a copy of the metainfo."""
        return dict(self._metainfo)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the field, or `default`."""
        return getattr(self, key, default)

    def pop(self, *args: Any) -> Any:
        """Remove a data field and return it: `pop(name)` or `pop(name, default)`; KeyError without a default."""
        return self._data.pop(*args)

    def __contains__(self, item: str) -> bool:
        return item in self._metainfo or item in self._data or f"_{item}" in self._data

    def __getattr__(self, name: str) -> Any:
        if name not in _INTERNAL:  # absent while an instance is being unpickled or copied
            data = self.__dict__.get("_data", {})
            if name in data:
                return data[name]
            metainfo = self.__dict__.get("_metainfo", {})
            if name in metainfo:
                return metainfo[name]
        raise AttributeError(f"{type(self).__name__!r} has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _INTERNAL:
            raise AttributeError(f"`{name}` is private to {type(self).__name__}")
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        elif name in self._metainfo:
            raise AttributeError(f"`{name}` is metainfo; change it with `set_metainfo`")
        else:
            self.set_field(value, name)

    def __delattr__(self, item: str) -> None:
        if isinstance(getattr(type(self), item, None), property):
            object.__delattr__(self, item)
            return
        for fields in (self._data, self._metainfo):
            if item in fields:
                del fields[item]
                return
        raise AttributeError(f"{type(self).__name__!r} has no field {item!r}")

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return an element whose tensors are `tensor.to(...)`."""
        return self._map("to", *args, **kwargs)

    def cpu(self) -> Self:
        """Return an element whose tensors lie on the CPU."""
        return self._map("cpu")

    def cuda(self) -> Self:
        """Return an element whose tensors lie on the current CUDA device."""
        return self._map("cuda")

    def detach(self) -> Self:
        """Return an element whose tensors are detached from the graph."""
        return self._map("detach")

    def numpy(self) -> Self:
        """Return an element whose tensors became NumPy arrays."""
        made = self.new()
        for name, value in self._data.items():
            if isinstance(value, torch.Tensor):
                made._replace(name, value.detach().cpu().numpy())
            elif isinstance(value, BaseDataElement):
                made._replace(name, value.numpy())
        return made

    def to_tensor(self) -> Self:
        """Return an element whose NumPy arrays became tensors."""
        made = self.new()
        for name, value in self._data.items():
            if isinstance(value, np.ndarray):
                made._replace(name, torch.from_numpy(value))
            elif isinstance(value, BaseDataElement):
                made._replace(name, value.to_tensor())
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return metainfo and data as a dict, nested elements too."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value for name, value in self.all_items()
        }

    def __repr__(self) -> str:
        lines = [f"<{type(self).__name__}("]
        for title, items in (("META INFORMATION", self.metainfo_items()), ("DATA FIELDS", self.items())):
            lines.append(f"    {title}")
            lines += [f"    {name}: {_indent(repr(value))}" for name, value in items]
        return "\n".join(lines) + f"\n) at {hex(id(self))}>"

    def _map(self, method: str, *args: Any, **kwargs: Any) -> Self:
        made = self.new()
        for name, value in self._data.items():
            if hasattr(value, method):
                made._replace(name, getattr(value, method)(*args, **kwargs))
        return made

    def _replace(self, name: str, value: Any) -> None:
        self._data[name] = value

    def _public(self, name: str) -> str:
        # OpenMMLab's samples keep `_x` behind a property `x`; people know the property.
        shown = name.removeprefix("_")
        return shown if isinstance(getattr(type(self), shown, None), property) else name


class InstanceData(BaseDataElement):
    """Hold per-instance fields of one sample; every data field has the same length N."""

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: Literal["data", "metainfo"] = "data",
    ) -> None:
        """Set one field; ValueError where the length of a data field differs from the others'."""
        if field_type == "data":
            if not isinstance(value, Sized):
                raise TypeError(f"field `{name}` of InstanceData must have a length, not be a {type(value).__name__}")
            others = [len(held) for key, held in self._data.items() if key != name]
            if others and len(value) != others[0]:
                raise ValueError(f"field `{name}` has {len(value)} entries, but this InstanceData holds {others[0]}")
        super().set_field(value, name, dtype, field_type)

    def __len__(self) -> int:
        return next((len(value) for value in self._data.values()), 0)

    def __getitem__(self, item: Any) -> Any:
        """Return the field of that name, or the instances that an index, slice, mask or index list selects."""
        if isinstance(item, str):
            return getattr(self, item)
        index = _instance_index(item, len(self))
        made = type(self)()
        made.set_metainfo(self._metainfo)
        for name, value in self._data.items():
            made._replace(name, _select(value, index))
        return made

    @staticmethod
    def cat(instances_list: Sequence[InstanceData]) -> InstanceData:
        """Return all instances of the list as one; every element must have the same fields (ValueError)."""
        if not instances_list:
            raise ValueError("nothing to join: the list of instances is empty")
        first = instances_list[0]
        if len(instances_list) == 1:
            return first
        if any(each._data.keys() != first._data.keys() for each in instances_list):
            raise ValueError("the elements to join have different fields")
        made = first.new()
        for name, value in first._data.items():
            made._replace(name, _join([each._data[name] for each in instances_list], type(value)))
        return made


class PixelData(BaseDataElement):
    """Hold per-pixel fields of one sample: tensors or arrays (C, H, W), all of one H x W; (H, W) becomes (1, H, W)."""

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: Literal["data", "metainfo"] = "data",
    ) -> None:
        """Set one field; ValueError where a data field is neither 2-D nor 3-D or its H x W differs from the others'."""
        if field_type == "data":
            if not isinstance(value, torch.Tensor | np.ndarray):
                raise TypeError(f"field `{name}` of PixelData must be a tensor or array, not a {type(value).__name__}")
            if value.ndim == 2:
                value = value[None]
            if value.ndim != 3:
                raise ValueError(f"field `{name}` of PixelData must be (C, H, W) or (H, W), not {tuple(value.shape)}")
            if self.shape not in (None, tuple(value.shape[-2:])) and set(self._data) != {name}:
                raise ValueError(f"field `{name}` is {tuple(value.shape[-2:])}, but this PixelData holds {self.shape}")
        super().set_field(value, name, dtype, field_type)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Return (H, W), or None while there is no field."""
        for value in self._data.values():
            return (int(value.shape[-2]), int(value.shape[-1]))
        return None

    def __getitem__(self, item: tuple[int | slice, int | slice]) -> PixelData:
        """Return the crop at rows, columns: each an int or a slice."""
        if not (isinstance(item, tuple) and len(item) == 2):
            raise TypeError("PixelData is indexed by (rows, columns)")
        rows, columns = (slice(each, each + 1 or None) if isinstance(each, int) else each for each in item)
        made = type(self)()
        made.set_metainfo(self._metainfo)
        for name, value in self._data.items():
            made._replace(name, value[:, rows, columns])
        return made


class LabelData(BaseDataElement):
    """Hold labels of one sample, as indices or one-hot."""

    @staticmethod
    def onehot_to_label(onehot: torch.Tensor) -> torch.Tensor:
        """Return the indices of a one-hot (multi-hot) vector's ones."""
        if onehot.ndim != 1 or not bool(((onehot == 0) | (onehot == 1)).all()):
            raise ValueError("a one-hot label is a vector of zeros and ones")
        return onehot.nonzero().squeeze(-1)

    @staticmethod
    def label_to_onehot(label: torch.Tensor, num_classes: int) -> torch.Tensor:
        """Return the int64 one-hot vector (num_classes,) of label indices in [0, num_classes)."""
        if label.numel() and int(label.max()) >= num_classes:
            raise ValueError(f"label {int(label.max())} is outside of {num_classes} classes")
        onehot = torch.zeros(num_classes, dtype=torch.int64, device=label.device)
        onehot[label] = 1
        return onehot


def _names(types: type | tuple[type, ...]) -> str:
    return " or ".join(each.__name__ for each in (types if isinstance(types, tuple) else (types,)))


def _indent(text: str) -> str:
    return text.replace("\n", "\n    ")


def _instance_index(item: Any, length: int) -> Any:
    if isinstance(item, list):
        item = torch.tensor(item, dtype=torch.bool if item and isinstance(item[0], bool) else torch.long)
    if isinstance(item, np.ndarray):
        item = torch.from_numpy(item)
    if isinstance(item, int | np.integer):
        if not -length <= item < length:
            raise IndexError(f"instance {item} of {length}")
        item = int(item) % length
        return slice(item, item + 1)
    if isinstance(item, slice):
        return item
    if not isinstance(item, torch.Tensor) or item.ndim != 1:
        raise TypeError(f"instances are selected by a name, int, slice, list or 1-D tensor, not {type(item).__name__}")
    if item.dtype == torch.bool and len(item) != length:
        raise ValueError(f"a mask of {len(item)} cannot select among {length} instances")
    return item


def _select(value: Any, index: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value[index.to(value.device) if isinstance(index, torch.Tensor) else index]
    if isinstance(index, slice):
        return value[index]
    if isinstance(value, list | tuple | str):
        kept = index.nonzero().flatten() if index.dtype == torch.bool else index
        picked = [value[position] for position in kept.tolist()]
        return "".join(picked) if isinstance(value, str) else type(value)(picked)
    return value[index.cpu().numpy() if isinstance(value, np.ndarray) else index]


def _join(values: list[Any], kind: type) -> Any:
    if issubclass(kind, torch.Tensor):
        return torch.cat(values, dim=0)
    if issubclass(kind, np.ndarray):
        return np.concatenate(values, axis=0)
    if issubclass(kind, str):
        return "".join(values)
    if issubclass(kind, list | tuple):
        return kind(each for value in values for each in value)
    if hasattr(kind, "cat"):
        return kind.cat(values)
    raise ValueError(f"cannot join fields of type {kind.__name__}")
