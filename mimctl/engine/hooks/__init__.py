"""Hooks: what happens around the training loop, one small file each."""

from mimctl.engine.hooks.checkpoint import CheckpointHook
from mimctl.engine.hooks.early_stopping import EarlyStoppingHook
from mimctl.engine.hooks.ema import EMAHook
from mimctl.engine.hooks.empty_cache import EmptyCacheHook
from mimctl.engine.hooks.hook import PRIORITIES, Hook, get_priority
from mimctl.engine.hooks.iter_timer import IterTimerHook
from mimctl.engine.hooks.logger import LoggerHook
from mimctl.engine.hooks.memory_profiler import MemoryProfilerHook
from mimctl.engine.hooks.param_scheduler import ParamSchedulerHook
from mimctl.engine.hooks.pipeline_switch import PipelineSwitchHook
from mimctl.engine.hooks.preemption import Preempted, PreemptionHook
from mimctl.engine.hooks.profiler import ProfilerHook
from mimctl.engine.hooks.runtime_info import RuntimeInfoHook
from mimctl.engine.hooks.sampler_seed import DistSamplerSeedHook
from mimctl.engine.hooks.sync_buffers import SyncBuffersHook
from mimctl.engine.hooks.test_time_aug import PrepareTTAHook, build_runner_with_tta

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
    "MemoryProfilerHook",
    "ParamSchedulerHook",
    "PipelineSwitchHook",
    "Preempted",
    "PreemptionHook",
    "PrepareTTAHook",
    "ProfilerHook",
    "RuntimeInfoHook",
    "SyncBuffersHook",
    "build_runner_with_tta",
    "get_priority",
]
