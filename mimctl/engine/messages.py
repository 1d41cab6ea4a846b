"""The message hub: recent scalars and facts of one run, at a constant cost per iteration.

Scalars stay tensors until someone reads them, so that an iteration never waits for the device.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

Scalar = Tensor | float | int

_CURRENT: contextvars.ContextVar[MessageHub | None] = contextvars.ContextVar("mimctl_message_hub", default=None)


class ScalarHistory:
    """The last `window` values of one scalar; older values are dropped."""

    __slots__ = ("count", "values")

    def __init__(self, window: int) -> None:
        self.values: deque[Scalar] = deque(maxlen=window)
        self.count = 0

    def update(self, value: Scalar) -> None:
        """Append a value without reading it."""
        self.values.append(value.detach() if isinstance(value, Tensor) else value)
        self.count += 1

    def numbers(self, window: int | None = None) -> list[float]:
        """Return the last `window` values (default: all that are kept) as numbers, oldest first."""
        values = list(self.values)
        if window is not None:
            values = values[-window:]
        return read_scalars(values)

    def mean(self, window: int | None = None) -> float:
        """Return the mean of the last `window` values."""
        numbers = self.numbers(window)
        return sum(numbers) / max(len(numbers), 1)

    def current(self) -> float:
        """Return the newest value."""
        return self.numbers(1)[0]

    def min(self, window: int | None = None) -> float:
        """Return the smallest of the last `window` values."""
        return min(self.numbers(window))

    def max(self, window: int | None = None) -> float:
        """Return the largest of the last `window` values."""
        return max(self.numbers(window))

    def statistics(self, method_name: str, window_size: int | None = None) -> float:
        """Return one of `mean`, `current`, `min`, `max` over the last `window_size` values."""
        if method_name == "current":
            return self.current()
        result: float = {"mean": self.mean, "min": self.min, "max": self.max}[method_name](window_size)
        return result


class MessageHub:
    """Scalars (with a short history) and facts of one run, under names such as `train/loss`."""

    def __init__(self, window: int = 100) -> None:
        self.window = window
        self._scalars: dict[str, ScalarHistory] = {}
        self._infos: dict[str, Any] = {}

    @classmethod
    def get_current_instance(cls) -> MessageHub:
        """Return the hub of the run that is in progress here; a fresh one where there is none."""
        hub = _CURRENT.get()
        if hub is None:
            hub = cls()
            _CURRENT.set(hub)
        return hub

    def make_current(self) -> None:
        """Make this hub the one that `get_current_instance` returns in this context."""
        _CURRENT.set(self)

    @property
    def log_scalars(self) -> dict[str, ScalarHistory]:
        """Return all histories by name."""
        return self._scalars

    @property
    def runtime_info(self) -> dict[str, Any]:
        """Return all facts by name."""
        return self._infos

    def update_scalar(self, name: str, value: Scalar) -> None:
        """Append a value to the history of `name`."""
        history = self._scalars.get(name)
        if history is None:
            history = self._scalars[name] = ScalarHistory(self.window)
        history.update(value)

    def update_scalars(self, values: dict[str, Scalar]) -> None:
        """Append several values."""
        for name, value in values.items():
            self.update_scalar(name, value)

    def get_scalar(self, name: str) -> ScalarHistory:
        """Return the history of `name`; KeyError where nothing was recorded."""
        return self._scalars[name]

    def update_info(self, name: str, value: Any) -> None:
        """Set a fact."""
        self._infos[name] = value

    def pop_info(self, name: str, default: Any = None) -> Any:
        """Remove and return a fact."""
        return self._infos.pop(name, default)

    def get_info(self, name: str, default: Any = None) -> Any:
        """Return a fact, or `default`."""
        return self._infos.get(name, default)

    def state_dict(self) -> dict[str, Any]:
        """Return the facts that are plain data; histories are not kept, a checkpoint stays small."""
        return {name: value for name, value in self._infos.items() if _is_plain(value)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over facts of a checkpoint; OpenMMLab's form ({'runtime_info': …}) is understood."""
        facts = state.get("runtime_info", state)
        if isinstance(facts, dict):
            self._infos.update({name: value for name, value in facts.items() if _is_plain(value)})


def read_scalars(values: Iterable[Scalar]) -> list[float]:
    """Return the values as numbers with one transfer from the device."""
    values = list(values)
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return [float(value) for value in values if not isinstance(value, Tensor)]
    numbers = iter(torch.stack([each.reshape(()).float() for each in tensors]).tolist())
    return [next(numbers) if isinstance(value, Tensor) else float(value) for value in values]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and _is_plain(each) for key, each in value.items())
    return value is None or isinstance(value, (str, int, float, bool))
