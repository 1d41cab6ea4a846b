"""Data of a training: datasets, samplers, transforms and the loader that joins them. Knows no task."""

from mimctl.engine.data.collate import default_collate, pseudo_collate
from mimctl.engine.data.dataset import BaseDataset
from mimctl.engine.data.epoch_samplers import ClassAwareSampler, RepeatAugSampler, SequentialSampler
from mimctl.engine.data.loader import build_dataloader, worker_init_fn
from mimctl.engine.data.memory import SampleCache
from mimctl.engine.data.passes import skip_batches
from mimctl.engine.data.randomness import SampleIndex, current_epoch
from mimctl.engine.data.samplers import AspectRatioBatchSampler, DefaultSampler, InfiniteSampler
from mimctl.engine.data.source_samplers import GroupMultiSourceSampler, MultiSourceSampler
from mimctl.engine.data.transform import (
    BaseTransform,
    Compose,
    KeyMapper,
    RandomApply,
    RandomChoice,
    TransformBroadcaster,
)
from mimctl.engine.data.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset

__all__ = [
    "AspectRatioBatchSampler",
    "BaseDataset",
    "BaseTransform",
    "ClassAwareSampler",
    "ClassBalancedDataset",
    "Compose",
    "ConcatDataset",
    "DefaultSampler",
    "GroupMultiSourceSampler",
    "InfiniteSampler",
    "KeyMapper",
    "MultiSourceSampler",
    "RandomApply",
    "RandomChoice",
    "RepeatAugSampler",
    "RepeatDataset",
    "SampleCache",
    "SampleIndex",
    "SequentialSampler",
    "TransformBroadcaster",
    "build_dataloader",
    "current_epoch",
    "default_collate",
    "pseudo_collate",
    "skip_batches",
    "worker_init_fn",
]
