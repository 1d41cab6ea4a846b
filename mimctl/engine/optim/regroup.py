"""The state of an optimizer that grouped its parameters otherwise, for one that holds the same parameters.

MMEngine gives each parameter a group of its own where `paramwise_cfg` is set, in the order of `named_parameters()`;
here parameters with equal options share a group. What an optimizer knows about a parameter is the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.optim.wrapper_dict import OptimWrapperDict
from mimctl.errors import MimctlError

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Regrouping:
    """From the parameter groups of a saved state to those of an optimizer."""

    sources: tuple[tuple[int, ...], ...]
    """For each group here the numbers of its parameters in the saved state."""
    group_of: Mapping[int, int]
    """The saved group of each saved parameter."""
    num_saved_groups: int
    has_base: bool
    """Whether the schedulers here also move the config's own options, as MMEngine's do."""

    def optimizer(self, state: Mapping[str, Any]) -> State:
        """Return the saved state in this grouping; further keys are kept."""
        saved = state["param_groups"]
        groups: list[State] = []
        states: dict[int, Any] = {}
        for sources in self.sources:
            options = [_options(saved[self.group_of[source]]) for source in sources]
            if any(each != options[0] for each in options[1:]):
                raise _mismatch("parameters that share a group here had different options there")
            first = sum(len(group["params"]) for group in groups)
            groups.append({**options[0], "params": list(range(first, first + len(sources)))})
            states |= {first + at: state["state"][each] for at, each in enumerate(sources) if each in state["state"]}
        base = {"base_param_settings": {**state["base_param_settings"], "params": []}} if self.has_base else {}
        return {**state, **base, "state": states, "param_groups": groups}

    def scheduler(self, state: Mapping[str, Any]) -> State:
        """Return a scheduler's saved state: its lists of one value for each group are reordered."""
        return {key: self._values(value) if isinstance(value, list) else value for key, value in state.items()}

    def _values(self, values: list[Any]) -> list[Any]:
        # Of several groups the last value is that of the optimizer's own defaults.
        if len(values) not in (self.num_saved_groups, self.num_saved_groups + 1):
            return values
        base = values[self.num_saved_groups :] if self.has_base else []
        return [values[self.group_of[each[0]]] for each in self.sources] + base


def fitting(checkpoint: State, wrapper: OptimWrapper, model: nn.Module) -> State:
    """Return a checkpoint whose optimizer and schedules have the wrapper's parameter groups.

    Raises MimctlError[optimizer-mismatch] as `regrouping` does.
    """
    state, schedules = checkpoint.get("optimizer"), checkpoint.get("param_schedulers", [])
    if state is None:
        return checkpoint
    if not isinstance(wrapper, OptimWrapperDict):
        state, schedules = _fitted(state, schedules, wrapper, model)
        return {**checkpoint, "optimizer": state, "param_schedulers": schedules}
    if set(state) != set(wrapper.keys()):
        raise _mismatch(f"it was saved for {sorted(state)}, and there are {sorted(wrapper.keys())} now")
    by_name = schedules if isinstance(schedules, dict) else {}
    found = {name: _fitted(state[name], by_name.get(name, []), each, model) for name, each in wrapper.items()}
    states = {name: state for name, (state, _) in found.items()}
    return {
        **checkpoint,
        "optimizer": states,
        "param_schedulers": {name: each for name, (_, each) in found.items()} if by_name else schedules,
    }


def _fitted(state: State, schedules: Any, wrapper: OptimWrapper, model: nn.Module) -> tuple[State, Any]:
    change = regrouping(state, wrapper, model)
    if change is None:
        return state, schedules
    return change.optimizer(state), [change.scheduler(each) for each in schedules]


def regrouping(state: Mapping[str, Any], wrapper: OptimWrapper, model: nn.Module) -> Regrouping | None:
    """Return how a saved optimizer state is brought into this optimizer's groups, None where it fits as it is.

    Raises MimctlError[optimizer-mismatch] for the state of another kind of optimizer, and where the groups differ in a
    way that nobody can tell which parameter is which.
    """
    saved, own = list(state["param_groups"]), wrapper.optimizer.param_groups
    _check_kind(saved, wrapper.optimizer)
    if [len(each["params"]) for each in saved] == [len(each["params"]) for each in own]:
        return None
    order = {id(param): place for place, (_, param) in enumerate(model.named_parameters())}
    params = [param for group in own for param in group["params"]]
    is_known = len(order) == len(params) and all(id(param) in order for param in params)
    if not is_known or any(len(each["params"]) != 1 for each in saved) or len(saved) != len(params):
        raise _mismatch(f"it was saved with {_sizes(saved)}, and has {_sizes(own)} now")
    numbers = [each["params"][0] for each in saved]
    sources = tuple(tuple(numbers[order[id(param)]] for param in group["params"]) for group in own)
    has_base = wrapper.base_param_settings is not None and "base_param_settings" in state
    return Regrouping(sources, {number: place for place, number in enumerate(numbers)}, len(saved), has_base)


def _check_kind(saved: Sequence[Mapping[str, Any]], optimizer: Optimizer) -> None:
    wanted = {key: value for key, value in optimizer.defaults.items() if _is_rate(value)}
    for group in saved:
        if missing := [key for key in wanted if key not in group]:
            raise _mismatch(f"its groups have no `{missing[0]}`, which {type(optimizer).__name__} needs")
        for key in ("decoupled_weight_decay", "nesterov"):
            if key in group and key in optimizer.defaults and bool(group[key]) != bool(optimizer.defaults[key]):
                raise _mismatch(f"it was saved with `{key}={group[key]}`")


def _is_rate(value: Any) -> bool:
    return isinstance(value, (float, tuple)) or (isinstance(value, int) and not isinstance(value, bool))


def _options(group: Mapping[str, Any]) -> State:
    return {key: value for key, value in group.items() if key != "params"}


def _sizes(groups: Sequence[Mapping[str, Any]]) -> str:
    sizes = [len(each["params"]) for each in groups]
    shown = ", ".join(map(str, sizes[:5]))
    return f"{len(sizes)} parameter group(s) of {shown}{', …' if len(sizes) > 5 else ''} parameters"


def _mismatch(reason: str) -> MimctlError:
    return MimctlError(
        "the optimizer's state does not fit the optimizer",
        code="optimizer-mismatch",
        causes=[reason],
        hints=[
            "resume with the `optim_wrapper` that the checkpoint was saved with",
            "or take its weights alone: `--cfg-options load_from=PATH`, without `--resume`",
        ],
    )
