"""Optimizers, optimizer wrappers (accumulation, clipping, mixed precision) and parameter groups."""

from mimctl.engine.optim.amp import AmpOptimWrapper
from mimctl.engine.optim.build import build_optim_wrapper
from mimctl.engine.optim.constructor import DefaultOptimWrapperConstructor
from mimctl.engine.optim.layer_decay import (
    LearningRateDecayOptimizerConstructor,
    LearningRateDecayOptimWrapperConstructor,
)
from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.optim.wrapper_dict import OptimWrapperDict

__all__ = [
    "AmpOptimWrapper",
    "DefaultOptimWrapperConstructor",
    "LearningRateDecayOptimWrapperConstructor",
    "LearningRateDecayOptimizerConstructor",
    "OptimWrapper",
    "OptimWrapperDict",
    "build_optim_wrapper",
]
