"""Hooks: what happens around the training loop, one small file each."""

from mimctl.engine.hooks.checkpoint import CheckpointHook
from mimctl.engine.hooks.early_stopping import EarlyStoppingHook
from mimctl.engine.hooks.ema import EMAHook
from mimctl.engine.hooks.empty_cache import EmptyCacheHook
from mimctl.engine.hooks.hook import PRIORITIES, Hook, get_priority
from mimctl.engine.hooks.iter_timer import IterTimerHook
from mimctl.engine.hooks.logger import LoggerHook
from mimctl.engine.hooks.param_scheduler import ParamSchedulerHook
from mimctl.engine.hooks.pipeline_switch import PipelineSwitchHook
from mimctl.engine.hooks.preemption import Preempted, PreemptionHook
from mimctl.engine.hooks.runtime_info import RuntimeInfoHook
from mimctl.engine.hooks.sampler_seed import DistSamplerSeedHook
from mimctl.engine.hooks.sync_buffers import SyncBuffersHook

__all__ = [
    "PRIORITIES",
    "CheckpointHook",
    "DistSamplerSeedHook",
    "EMAHook",
    "EarlyStoppingHook",
    "EmptyCacheHook",
    "Hook",
    "IterTimerHook",
    "LoggerHook",
    "ParamSchedulerHook",
    "PipelineSwitchHook",
    "Preempted",
    "PreemptionHook",
    "RuntimeInfoHook",
    "SyncBuffersHook",
    "get_priority",
]
