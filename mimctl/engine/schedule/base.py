"""The scheduler's base: when it acts (`begin`, `end`), on which option, and how its state is kept."""

from __future__ import annotations

from typing import Any, Self

from torch.optim import Optimizer

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError

INF = 10**9


class ParamScheduler:
    """Change one option of every parameter group at each step.

    Steps are epochs (`by_epoch`) or iterations; the scheduler acts where begin <= step < end, and `last_step` counts
    from 0 at `begin`. A value is computed from the value before it, so schedulers that act at the same time multiply.
    `verbose` logs every value that is set. Subclasses give `next_value`, or `_get_value` for all groups at once.

    With `last_step` other than -1 the groups must hold the values that they started with (`initial_<option>`).
    Raises ConfigError where they do not, where no group has the option and where `end` does not follow `begin`.
    """

    by_optimizer_step = False
    """Whether a step is one of the optimizer's instead of an iteration (the config's `by_optimizer_step`)."""

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if not 0 <= begin < end:
            raise ConfigError(f"`{type(self).__name__}` needs 0 <= begin < end, got begin={begin}, end={end}")
        self.optimizer = optimizer
        self.param_name = param_name
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self.verbose = verbose
        self.last_step = last_step
        self._global_step = -1
        self.base_values = [self._initial(group) for group in self.groups]
        self._last_value: list[float] = self._current()
        self._start()

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups."""
        return self.optimizer.param_groups

    def step(self) -> None:
        """Go one step on and set the values, if the step lies between `begin` and `end`."""
        self._global_step += 1
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            self._set(self._get_value())
        self._last_value = self._current()

    def is_due_after_iteration(self) -> bool:
        """Return whether the iteration that has just ended is a step of this schedule."""
        if self.by_epoch:
            return False
        wrapper = self.optimizer
        return not (self.by_optimizer_step and isinstance(wrapper, OptimWrapper)) or wrapper.should_update()

    def next_value(self, value: float, base: float) -> float:
        """Return the value at `last_step` (0 at `begin`), given the one before it and the initial one."""
        raise NotImplementedError

    def get_last_value(self) -> list[float]:
        """Return the value of each group after the last step."""
        return self._last_value

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes over a run, as plain data."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.__dict__.update({key: value for key, value in state_dict.items() if key != "optimizer"})

    @classmethod
    def build_iter_from_epoch(
        cls, optimizer: Optimizer | OptimWrapper, *, epoch_length: int, begin: int = 0, end: int = INF, **options: Any
    ) -> Self:
        """Build the scheduler with its epochs turned into iterations of an epoch of `epoch_length`."""
        if not options.pop("by_epoch", True):
            raise ConfigError("`convert_to_iter_based` needs `by_epoch=True`")
        if epoch_length < 1:
            raise ConfigError("`convert_to_iter_based` needs a dataloader that knows its length")
        scaled = {
            "begin": int(begin * epoch_length),
            "end": int(end * epoch_length) if end < INF else INF,
            **cls.scale_to_iters(options, epoch_length),
        }
        return cls(optimizer, by_epoch=False, **scaled)

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        """Return the options with those that count epochs turned into iterations."""
        return options

    def _start(self) -> None:
        """Set the values of the first step."""
        self.step()

    def _get_value(self) -> list[float]:
        """Return the values of all groups at `last_step`."""
        name = self.param_name
        return [self.next_value(group[name], base) for group, base in zip(self.groups, self.base_values, strict=True)]

    def _set(self, values: list[float]) -> None:
        for place, (group, value) in enumerate(zip(self.groups, values, strict=True)):
            group[self.param_name] = value
            if self.verbose:
                get_logger().info("%s of parameter group %d: %.4e", self.param_name, place, value)

    def _current(self) -> list[float]:
        return [group[self.param_name] for group in self.groups]

    def _initial(self, group: dict[str, Any]) -> float:
        key = f"initial_{self.param_name}"
        if self.param_name not in group:
            raise ConfigError(f"the optimizer has no option `{self.param_name}` to schedule")
        if self.last_step >= 0 and key not in group:
            raise ConfigError(
                f"`last_step={self.last_step}` goes on with a schedule, but the parameter groups have no `{key}`",
                hints=["resume from a checkpoint, or leave `last_step` out"],
            )
        return float(group.setdefault(key, group[self.param_name]))
