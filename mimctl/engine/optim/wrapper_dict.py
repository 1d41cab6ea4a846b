"""Several optimizer wrappers under names, for models that step them on their own (`train_step` gets the dict)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.registry import OPTIM_WRAPPERS
from mimctl.errors import MimctlError, did_you_mean, nearest


@OPTIM_WRAPPERS.register_module()
class OptimWrapperDict(OptimWrapper):
    """Hold wrappers by name; stepping is the model's business, state and learning rates are joined here."""

    def __init__(self, **optim_wrappers: OptimWrapper) -> None:
        for name, each in optim_wrappers.items():
            if not isinstance(each, OptimWrapper):
                raise TypeError(f"`{name}` must be an OptimWrapper, not a {type(each).__name__}")
        self.optim_wrappers = optim_wrappers
        self.base_param_settings = None
        self.last_grad_norm = None

    def __getitem__(self, name: str) -> OptimWrapper:
        """Return a wrapper. MimctlError for a name that there is not."""
        if name not in self.optim_wrappers:
            near = nearest(name, list(self.optim_wrappers), most=1)
            raise MimctlError(
                f"there is no optimizer `{name}`",
                code="bad-argument",
                hints=[*did_you_mean(near), f"there is {', '.join(f'`{each}`' for each in self.optim_wrappers)}"],
            )
        return self.optim_wrappers[name]

    def __contains__(self, name: object) -> bool:
        return name in self.optim_wrappers

    def __len__(self) -> int:
        return len(self.optim_wrappers)

    def keys(self) -> Iterator[str]:
        """Return the names."""
        return iter(self.optim_wrappers)

    def values(self) -> Iterator[OptimWrapper]:
        """Return the wrappers."""
        return iter(self.optim_wrappers.values())

    def items(self) -> Iterator[tuple[str, OptimWrapper]]:
        """Return names and wrappers."""
        return iter(self.optim_wrappers.items())

    def update_params(self, loss: Any, step_kwargs: Any = None, zero_kwargs: Any = None) -> None:
        """Refuse: which optimizer a loss belongs to only the model knows."""
        raise NotImplementedError("a model with several optimizers calls `optim_wrapper['name'].update_params(loss)`")

    def backward(self, loss: Any, **kwargs: Any) -> None:
        """Refuse: which optimizer a loss belongs to only the model knows."""
        raise NotImplementedError("a model with several optimizers calls `optim_wrapper['name'].backward(loss)`")

    def should_update(self) -> bool:
        """Return whether each wrapper's last loss completed a step."""
        return all(wrapper.should_update() for wrapper in self.values())

    @property
    def accumulative_counts(self) -> int:
        """Return how many losses make a step of the first wrapper."""
        return next(iter(self.values())).accumulative_counts

    @property
    def defaults(self) -> dict[str, Any]:
        """Return each optimizer's default options under its name."""
        return {name: wrapper.defaults for name, wrapper in self.items()}

    @property
    def inner_count(self) -> int:
        """Return the count of the first wrapper."""
        return next(iter(self.optim_wrappers.values())).inner_count

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return all wrappers' parameter groups."""
        return [group for wrapper in self.values() for group in wrapper.param_groups]

    def zero_grad(self, **kwargs: Any) -> None:
        """Clear all gradients."""
        for wrapper in self.values():
            wrapper.zero_grad(**kwargs)

    def step(self, **kwargs: Any) -> None:
        """Step all wrappers."""
        for wrapper in self.values():
            wrapper.step(**kwargs)

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Do nothing: the model enters the contexts of its own wrappers."""
        yield

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Do nothing: how often each wrapper steps only the model knows; their counts are part of their state."""

    def get_lr(self) -> dict[str, list[float]]:
        """Return the learning rates as `<name>.lr`."""
        return {f"{name}.{key}": value for name, each in self.items() for key, value in each.get_lr().items()}

    def get_momentum(self) -> dict[str, list[float]]:
        """Return the momenta as `<name>.momentum`."""
        return {f"{name}.{key}": value for name, each in self.items() for key, value in each.get_momentum().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return each wrapper's state under its name, with how many losses it has seen."""
        return {name: {**wrapper.state_dict(), "inner_count": wrapper.inner_count} for name, wrapper in self.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned. MimctlError for the state of an optimizer that there is not."""
        for name, state in state_dict.items():
            wrapper = self[name]
            given = dict(state)
            wrapper._inner_count = given.pop("inner_count", wrapper.inner_count)
            wrapper.load_state_dict(given)
