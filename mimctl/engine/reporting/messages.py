"""The message hub: recent scalars and facts of one run, at a constant cost per iteration.

Scalars stay tensors until someone reads them, so that an iteration never waits for the device.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor

Scalar = Tensor | float | int

_CURRENT: contextvars.ContextVar[MessageHub | None] = contextvars.ContextVar("mimctl_message_hub", default=None)
_RUNNING: contextvars.ContextVar[MessageHub | None] = contextvars.ContextVar("mimctl_running_hub", default=None)


class ScalarHistory:
    """The last `window` values of one scalar; older values are dropped."""

    __slots__ = ("count", "values")

    def __init__(self, window: int = 100) -> None:
        self.values: deque[Scalar] = deque(maxlen=window)
        self.count = 0

    def update(self, log_val: Scalar, count: int = 1) -> None:
        """Append a value without reading it; with `count` it is the sum of so many."""
        if count != 1:
            log_val = log_val / count
        self.values.append(log_val.detach() if isinstance(log_val, Tensor) and log_val.requires_grad else log_val)
        self.count += 1

    def numbers(self, window_size: int | None = None) -> list[float]:
        """Return the last `window_size` values (default: all that are kept) as numbers, oldest first."""
        values = list(self.values)
        if window_size is not None:
            values = values[-window_size:]
        return read_scalars(values)

    def mean(self, window_size: int | None = None) -> float:
        """Return the mean of the last `window_size` values."""
        numbers = self.numbers(window_size)
        return sum(numbers) / max(len(numbers), 1)

    def current(self) -> float:
        """Return the newest value."""
        return self.numbers(1)[0]

    def min(self, window_size: int | None = None) -> float:
        """Return the smallest of the last `window_size` values."""
        return min(self.numbers(window_size))

    def max(self, window_size: int | None = None) -> float:
        """Return the largest of the last `window_size` values."""
        return max(self.numbers(window_size))

    def statistics(self, method_name: str, window_size: int | None = None) -> float:
        """Return one of `mean`, `current`, `min`, `max` over the last `window_size` values."""
        if method_name == "current":
            return self.current()
        result: float = {"mean": self.mean, "min": self.min, "max": self.max}[method_name](window_size)
        return result


class MessageHub:
    """Scalars (with a short history) and facts of one run, under names such as `train/loss`."""

    def __init__(self, name: str = "run", window: int = 100) -> None:
        self.instance_name = name
        self.window = window
        self.recent: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=window)
        """(iteration, log values) of the last steps of a training, the tensors not read."""
        self._scalars: dict[str, ScalarHistory] = {}
        self._infos: dict[str, Any] = {}
        self._unsaved: set[str] = set()

    @classmethod
    def get_current_instance(cls) -> MessageHub:
        """Return the hub of the run that is in progress here; a fresh one where there is none."""
        hub = _CURRENT.get()
        if hub is None:
            hub = cls()
            _CURRENT.set(hub)
        return hub

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> MessageHub:
        """Return the current hub, whatever the name: each run has its own, and no table of them is kept."""
        return cls.get_current_instance()

    def make_current(self) -> None:
        """Make this hub the one that `get_current_instance` returns in this context."""
        _CURRENT.set(self)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Be the current hub while the block runs, and after it, unless a run around this one goes on with its own."""
        outer = _RUNNING.get()
        token = _RUNNING.set(self)
        self.make_current()
        try:
            yield
        finally:
            _RUNNING.reset(token)
            if outer is not None:
                outer.make_current()

    @property
    def log_scalars(self) -> dict[str, ScalarHistory]:
        """Return all histories by name."""
        return self._scalars

    @property
    def runtime_info(self) -> dict[str, Any]:
        """Return all facts by name."""
        return self._infos

    def update_scalar(self, key: str, value: Scalar, count: int = 1, resumed: bool = True) -> None:
        """Append a value to the history of `key`; with `count` it is the sum of so many."""
        history = self._scalars.get(key)
        if history is None:
            history = self._scalars[key] = ScalarHistory(self.window)
        history.update(value, count)

    def update_scalars(self, log_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Append several values: each a number, or a dict of `value` and `count`."""
        for key, value in log_dict.items():
            if isinstance(value, Mapping):
                self.update_scalar(key, value["value"], value.get("count", 1))
            else:
                self.update_scalar(key, value)

    def get_scalar(self, key: str) -> ScalarHistory:
        """Return the history of `key`; KeyError where nothing was recorded."""
        return self._scalars[key]

    def read(self) -> None:
        """Turn all kept values into numbers with one transfer; reading them again waits for nothing."""
        histories = [each for each in self._scalars.values() if any(isinstance(value, Tensor) for value in each.values)]
        numbers = iter(read_scalars([value for each in histories for value in each.values]))
        for each in histories:
            each.values = deque([next(numbers) for _ in each.values], maxlen=each.values.maxlen)

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Set a fact. With `resumed` plain facts are part of checkpoints, others never."""
        self._infos[key] = value
        (self._unsaved.discard if resumed else self._unsaved.add)(key)

    def update_info_dict(self, info_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Set several facts."""
        for key, value in info_dict.items():
            self.update_info(key, value, resumed)

    def pop_info(self, key: str, default: Any = None) -> Any:
        """Remove and return a fact."""
        return self._infos.pop(key, default)

    def get_info(self, key: str, default: Any = None) -> Any:
        """Return a fact, or `default`."""
        return self._infos.get(key, default)

    def state_dict(self) -> dict[str, Any]:
        """Return the facts that are plain data; histories are not kept, a checkpoint stays small."""
        return {name: value for name, value in self._infos.items() if name not in self._unsaved and _is_plain(value)}

    def load_state_dict(self, state_dict: Mapping[str, Any] | MessageHub) -> None:
        """Take over facts of a checkpoint or another hub; OpenMMLab's form ({'runtime_info': …}) is understood."""
        state = state_dict.state_dict() if isinstance(state_dict, MessageHub) else state_dict
        facts = state.get("runtime_info", state)
        if isinstance(facts, dict):
            self._infos.update({name: value for name, value in facts.items() if _is_plain(value)})


def read_scalars(values: Iterable[Scalar]) -> list[float]:
    """Return the values as numbers, with one transfer from each device for each type of number."""
    values = list(values)
    alike: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for place, value in enumerate(values):
        if isinstance(value, Tensor):
            alike.setdefault((value.device, value.dtype), []).append(place)
    for places in alike.values():
        tensors = [cast("Tensor", values[place]) for place in places]
        read = torch.stack([each.reshape(()) if each.ndim else each for each in tensors]).tolist()
        for place, number in zip(places, read, strict=True):
            values[place] = number
    return [float(value) for value in values]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and _is_plain(each) for key, each in value.items())
    return value is None or isinstance(value, (str, int, float, bool))
