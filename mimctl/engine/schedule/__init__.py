"""Schedulers: how the learning rate, the momentum or another option of the parameter groups changes over a run."""

from mimctl.engine.schedule.base import ParamScheduler
from mimctl.engine.schedule.build import build_param_schedulers

__all__ = ["ParamScheduler", "build_param_schedulers"]
