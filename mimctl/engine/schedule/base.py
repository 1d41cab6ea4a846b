"""The scheduler's base: when it acts (`begin`, `end`), on which option, and how its state is kept."""

from __future__ import annotations

from typing import Any, Self

from torch.optim import Optimizer

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.errors import ConfigError

INF = 10**9


class ParamScheduler:
    """Change one option of every parameter group at each step.

    Steps are epochs (`by_epoch`) or iterations; the scheduler acts where begin <= step < end. A value is computed
    from the value before it, so schedulers that act at the same time multiply. Subclasses give `next_value`.
    """

    default_param_name: str | None = None

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        param_name: str | None = None,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        name = param_name or self.default_param_name
        if name is None:
            raise ConfigError(f"`{type(self).__name__}` needs `param_name`")
        if not 0 <= begin < end:
            raise ConfigError(f"`{type(self).__name__}` needs 0 <= begin < end, got begin={begin}, end={end}")
        self.optimizer = optimizer
        self.param_name = name
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self.verbose = verbose
        self.last_step = last_step
        self._global_step = -1
        self.base_values = [self._initial(group) for group in optimizer.param_groups]
        self._last_value: list[float] = []
        self.step()

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups."""
        return self.optimizer.param_groups

    def step(self) -> None:
        """Go one step on and set the values, if the step lies between `begin` and `end`."""
        self._global_step += 1
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            for group, base in zip(self.groups, self.base_values, strict=True):
                self._write(group, self.next_value(self._read(group), base))
        self._last_value = [self._read(group) for group in self.groups]

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
            "begin": begin * epoch_length,
            "end": end * epoch_length if end < INF else INF,
            **cls.scale_to_iters(options, epoch_length),
        }
        return cls(optimizer, by_epoch=False, **scaled)

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        """Return the options with those that count epochs turned into iterations."""
        return options

    def _initial(self, group: dict[str, Any]) -> float:
        key = f"initial_{self.param_name}"
        if key not in group:
            group[key] = self._read(group)
        return float(group[key])

    def _read(self, group: dict[str, Any]) -> float:
        if self.param_name == "momentum" and "momentum" not in group and "betas" in group:
            return float(group["betas"][0])
        if self.param_name not in group:
            raise ConfigError(f"the optimizer has no option `{self.param_name}` to schedule")
        return float(group[self.param_name])

    def _write(self, group: dict[str, Any], value: float) -> None:
        if self.param_name == "momentum" and "momentum" not in group and "betas" in group:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group[self.param_name] = value


class LearningRate:
    """Make a scheduler act on the learning rate."""

    default_param_name: str | None = "lr"


class Momentum:
    """Make a scheduler act on the momentum, or the first beta of optimizers that have betas."""

    default_param_name: str | None = "momentum"
