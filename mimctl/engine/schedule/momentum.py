"""Every schedule for the momentum, which is the first beta of optimizers that have betas."""

from __future__ import annotations

from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.cosine import CosineAnnealingParamScheduler, CosineRestartParamScheduler
from mimctl.engine.schedule.one_cycle import OneCycleParamScheduler
from mimctl.engine.schedule.plateau import ReduceOnPlateauParamScheduler
from mimctl.engine.schedule.policies import (
    ConstantParamScheduler,
    ExponentialParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    PolyParamScheduler,
    QuadraticWarmupParamScheduler,
    StepParamScheduler,
)
from mimctl.errors import ConfigError


class MomentumSchedulerMixin:
    """Make a scheduler act on the momentum; ConfigError for an optimizer with neither `momentum` nor `betas`.

    A group with betas gets a `momentum` beside them, from which the first beta is set.
    """

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        for group in optimizer.param_groups:
            if "betas" in group:
                group["momentum"] = float(group["betas"][0])
            elif "momentum" not in group:
                raise ConfigError("the optimizer has neither `momentum` nor `betas` to schedule")
        super().__init__(optimizer, "momentum", *args, **kwargs)  # type: ignore[call-arg]

    def _set(self, values: list[float]) -> None:
        super()._set(values)  # type: ignore[misc]
        for group in self.groups:  # type: ignore[attr-defined]
            if "betas" in group:
                group["betas"] = (group["momentum"], *group["betas"][1:])


@PARAM_SCHEDULERS.register_module()
class ConstantMomentum(MomentumSchedulerMixin, ConstantParamScheduler):
    """Momentum times a constant until `end`."""


@PARAM_SCHEDULERS.register_module()
class LinearMomentum(MomentumSchedulerMixin, LinearParamScheduler):
    """Momentum along a line, mostly a warm-up."""


@PARAM_SCHEDULERS.register_module()
class StepMomentum(MomentumSchedulerMixin, StepParamScheduler):
    """Momentum in equal steps."""


@PARAM_SCHEDULERS.register_module()
class MultiStepMomentum(MomentumSchedulerMixin, MultiStepParamScheduler):
    """Momentum in steps at milestones."""


@PARAM_SCHEDULERS.register_module()
class ExponentialMomentum(MomentumSchedulerMixin, ExponentialParamScheduler):
    """Momentum falling exponentially."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingMomentum(MomentumSchedulerMixin, CosineAnnealingParamScheduler):
    """Momentum along half a cosine."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartMomentum(MomentumSchedulerMixin, CosineRestartParamScheduler):
    """Momentum along half a cosine with restarts."""


@PARAM_SCHEDULERS.register_module()
class PolyMomentum(MomentumSchedulerMixin, PolyParamScheduler):
    """Momentum along a polynomial."""


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupMomentum(MomentumSchedulerMixin, QuadraticWarmupParamScheduler):
    """Momentum warm-up along a parabola."""


@PARAM_SCHEDULERS.register_module()
class OneCycleMomentum(MomentumSchedulerMixin, OneCycleParamScheduler):
    """Momentum in one cycle; `div_factor` below 1 lets it fall where the learning rate rises."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauMomentum(MomentumSchedulerMixin, ReduceOnPlateauParamScheduler):
    """Momentum reduced on a plateau."""
