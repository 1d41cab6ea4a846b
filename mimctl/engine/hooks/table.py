"""Hooks in the order of their priorities, and which of them act at each point of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mimctl.engine.hooks.hook import HOOK_POINTS, PRIORITIES, Hook, acts_at, get_priority


class FailedAt(NamedTuple):
    """The point of a run at which a hook failed, and what was still to be called there."""

    point: str
    others: Sequence[Callable[..., None]]
    arguments: Mapping[str, Any]


class HookTable:
    """The hooks of a run; those of a lower priority number come first, equal ones in the order they were added.

    A loop of one's own calls a point by `for call in table.at("before_train_iter"): call(runner, …)`.
    """

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self.hooks: list[Hook] = []
        self.failed_at: FailedAt | None = None
        self._calls: dict[str, list[Callable[..., None]]] = {}
        for hook in hooks:
            self.add(hook)

    def add(self, hook: Hook) -> None:
        """Put a hook in its place."""
        rank = get_priority(hook.priority)
        later = (place for place, each in enumerate(self.hooks) if get_priority(each.priority) > rank)
        self.hooks.insert(next(later, len(self.hooks)), hook)
        self._calls.clear()

    def at(self, point: str) -> list[Callable[..., None]]:
        """Return what is called at a point, in order: the methods of the hooks that act there."""
        calls = self._calls.get(point)
        if calls is None:
            calls = [getattr(hook, point) for hook in self.hooks if acts_at(hook, point)]
            self._calls[point] = calls
        return calls

    def call(self, point: str, runner: Any, arguments: Mapping[str, Any]) -> None:
        """Call what acts at a point, in order; where a hook raises, `failed_at` says what was still to come."""
        calls, call = self.at(point), None
        try:
            for call in calls:
                call(runner, **arguments)
        except BaseException:
            behind = 0 if call is None else calls.index(call) + 1
            self.failed_at = FailedAt(point, calls[behind:], arguments)
            raise

    def __str__(self) -> str:
        """Return a line for each point at which something is called: its hooks in their order, and their priorities."""
        lines = []
        for point in HOOK_POINTS:
            named = [f"{type(hook).__name__} ({_name(hook.priority)})" for hook in self.hooks if acts_at(hook, point)]
            if named:
                lines.append(f"{point:<{_WIDTH}}  {', '.join(named)}")
        return "\n".join(lines)


_WIDTH = max(map(len, HOOK_POINTS))


def _name(priority: int | str) -> str:
    number = get_priority(priority)
    return next((name for name, value in PRIORITIES.items() if value == number), str(number))
