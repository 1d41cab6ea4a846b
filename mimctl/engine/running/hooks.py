"""The hooks of a Runner: how they are added, in which order, and how a point of theirs is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.engine.hooks.build import build_hooks
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.hooks.table import HookTable
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.reporting.visualization import use_visualizer
from mimctl.engine.running.parts import RunnerParts

Cfg = Mapping[str, Any]

_DONE = {"after_train_epoch": "epoch_is_done", "after_train_iter": "iter_is_done"}


class RunnerHooks(RunnerParts):
    """The share of a Runner that knows hooks."""

    hook_table: HookTable

    @property
    def hooks(self) -> list[Hook]:
        """Return the hooks in their order."""
        return self.hook_table.hooks

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call one point of every hook that acts there, in order of priority."""
        done = _DONE.get(fn_name)
        if done is None:
            self.hook_table.call(fn_name, self, kwargs)
            return
        # Inside these hooks an iteration or epoch is done, but not counted yet: what is saved there counts it.
        setattr(self.train_loop, done, True)
        try:
            self.hook_table.call(fn_name, self, kwargs)
        finally:
            setattr(self.train_loop, done, False)

    def register_hook(self, hook: Hook | Cfg, priority: int | str | None = None) -> None:
        """Add a hook behind those of the same or a lower priority number."""
        self._register({}, [hook], priority)

    def register_default_hooks(self, hooks: Cfg | None = None) -> None:
        """Add the default hooks, changed by `hooks` (None leaves one out)."""
        self._register(hooks, None)

    def register_custom_hooks(self, hooks: Sequence[Hook | Cfg]) -> None:
        """Add several hooks."""
        self._register({}, hooks)

    def register_hooks(
        self, default_hooks: Cfg | None = None, custom_hooks: Sequence[Hook | Cfg] | None = None
    ) -> None:
        """Add the default hooks, and then several others."""
        self._register(default_hooks, custom_hooks)

    def get_hooks_info(self) -> str:
        """Return a line for each point of a run: the hooks that act there, in their order, with their priorities."""
        return str(self.hook_table)

    def _register(self, default: Cfg | None, custom: Sequence[Any] | None, priority: int | str | None = None) -> None:
        with use_scope(self.scope), use_visualizer(lambda: self.visualizer):
            for hook in build_hooks(default, custom):
                hook.priority = hook.priority if priority is None else priority
                self.hook_table.add(hook)
