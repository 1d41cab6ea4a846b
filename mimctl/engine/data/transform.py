"""Transforms of one sample (a dict) and the ways to combine them: in turn, by chance, over several inputs.

Semantics and argument names are MMCV 2's (`mmcv.transforms`).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mimctl.engine.data.randomness import generator_states, restore_generators
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError

Sample = dict[str, Any]
Transform = Callable[[Sample], Sample | None]
TransformConfig = Mapping[str, Any] | Transform


class BaseTransform(ABC):
    """One step of a pipeline: takes the sample's dict, returns it changed, or None to ask for another sample.

    A transform never writes into the arrays it was given (a cache may hold them); it puts new ones in their place.
    `remembers_samples` says that its result depends on samples that it saw before. A checkpoint knows those that it
    keeps in a `SampleCache`; where it keeps them otherwise, a run that is resumed inside an epoch loads the epoch's
    samples up to there again.
    """

    remembers_samples: bool = False

    def __call__(self, results: Sample) -> Any:
        return self.transform(results)

    @abstractmethod
    def transform(self, results: Sample) -> Any:
        """Transform the sample."""


@TRANSFORMS.register_module()
class Compose(BaseTransform):
    """Apply transforms one after the other; stop with None as soon as one of them returns None.

    A transform may offer `fuse_with(following)`: one transform that does the work of both at less cost, or None.
    """

    def __init__(self, transforms: TransformConfig | Sequence[TransformConfig] | None = None) -> None:
        if transforms is None:
            transforms = []
        elif isinstance(transforms, Mapping) or callable(transforms):
            transforms = [transforms]
        self.transforms: list[Transform] = _fused([_build(each) for each in transforms])

    def transform(self, results: Sample) -> Any:
        """Return the sample after the last transform, or None."""
        data: Any = results
        for each in self.transforms:
            data = each(data)
            if data is None:
                return None
        return data

    def __repr__(self) -> str:
        return "Compose(" + ", ".join(type(each).__name__ for each in self.transforms) + ")"


@TRANSFORMS.register_module()
class RandomApply(BaseTransform):
    """Apply the transforms with probability `prob`."""

    def __init__(self, transforms: TransformConfig | Sequence[TransformConfig], prob: float = 0.5) -> None:
        _check_probability(prob)
        self.transforms = Compose(transforms)
        self.prob = prob

    def transform(self, results: Sample) -> Any:
        """Return the sample, transformed or as it is."""
        return self.transforms(results) if random.random() < self.prob else results


@TRANSFORMS.register_module()
class RandomChoice(BaseTransform):
    """Apply one of several pipelines, chosen with the probabilities `prob` (equal where left out)."""

    def __init__(
        self,
        transforms: Sequence[TransformConfig | Sequence[TransformConfig]],
        prob: Sequence[float] | None = None,
    ) -> None:
        if prob is not None and (len(prob) != len(transforms) or abs(sum(prob) - 1) > 1e-6):
            raise ConfigError(
                f"RandomChoice needs one probability for each of its {len(transforms)} pipelines, summing to 1",
                code="bad-argument",
                causes=[f"prob is {list(prob)}"],
            )
        self.transforms = [Compose(each) for each in transforms]
        self.prob = prob

    def transform(self, results: Sample) -> Any:
        """Return the sample after the chosen pipeline."""
        return self.transforms[self.random_pipeline_index()](results)

    def random_pipeline_index(self) -> int:
        """Draw which pipeline is applied."""
        return int(np.random.choice(len(self.transforms), p=self.prob))


@TRANSFORMS.register_module()
class KeyMapper(BaseTransform):
    """Run transforms on other keys: `mapping` {key they see: key of the sample}, `remapping` {key: key written back}.

    Nested dicts and lists of keys gather several values; `...` as a source leaves the key out.
    """

    def __init__(
        self,
        transforms: TransformConfig | Sequence[TransformConfig] | None = None,
        mapping: Mapping[str, Any] | None = None,
        remapping: Mapping[str, Any] | None = None,
        auto_remap: bool | None = None,
        allow_nonexist_keys: bool = False,
    ) -> None:
        if auto_remap and remapping:
            raise ConfigError("KeyMapper takes either `remapping` or `auto_remap`", code="bad-argument")
        self.transforms = Compose(transforms)
        self.mapping = dict(mapping or {})
        self.remapping = dict(self.mapping if auto_remap else remapping or {})
        self.allow_nonexist_keys = allow_nonexist_keys

    def transform(self, results: Sample) -> Any:
        """Return the sample with what the transforms wrote put under the outer keys."""
        inputs = {**results, **self._gather(results)}
        outputs = self.transforms(inputs)
        if outputs is None:
            return None
        if not self.remapping:
            results.update(outputs)
            return results
        for inner, outer in self.remapping.items():
            _scatter(results, outer, outputs.get(inner))
        return results

    def _gather(self, results: Sample) -> Sample:
        found: Sample = {}
        for inner, outer in self.mapping.items():
            value = _pick(results, outer, missing_ok=self.allow_nonexist_keys)
            if value is not _ABSENT:
                found[inner] = value
        return found


@TRANSFORMS.register_module()
class TransformBroadcaster(KeyMapper):
    """Run the same transforms on each of several inputs (lists under the mapped keys).

    With `share_random_params` each input sees the same random numbers: the generators are rewound in between.
    """

    def __init__(
        self,
        transforms: TransformConfig | Sequence[TransformConfig],
        mapping: Mapping[str, Any] | None = None,
        remapping: Mapping[str, Any] | None = None,
        auto_remap: bool | None = None,
        allow_nonexist_keys: bool = False,
        share_random_params: bool = False,
    ) -> None:
        super().__init__(transforms, mapping, remapping, auto_remap, allow_nonexist_keys)
        self.share_random_params = share_random_params

    def transform(self, results: Sample) -> Any:
        """Return the sample; every mapped key holds a list of transformed values."""
        gathered = self._gather(results) if self.mapping else results
        listed = {key: value for key, value in gathered.items() if isinstance(value, (list, tuple))}
        lengths = {len(value) for value in listed.values()}
        if len(lengths) != 1:
            sizes = {key: len(value) for key, value in listed.items()}
            raise ValueError(f"TransformBroadcaster needs lists of one length, got {sizes}")
        outputs = self._each(gathered, listed, lengths.pop())
        if outputs is None:
            return None
        merged = {key: [each[key] for each in outputs] for key in outputs[0]}
        if not self.remapping:
            results.update(merged)
            return results
        for inner, outer in self.remapping.items():
            _scatter(results, outer, merged.get(inner))
        return results

    def _each(self, gathered: Sample, listed: Mapping[str, Any], count: int) -> list[Sample] | None:
        outputs: list[Sample] = []
        states = generator_states() if self.share_random_params else None
        for number in range(count):
            if states is not None:
                restore_generators(states)
            output = self.transforms({**gathered, **{key: value[number] for key, value in listed.items()}})
            if output is None:
                return None
            outputs.append(output)
        return outputs


def _fused(transforms: list[Transform]) -> list[Transform]:
    fused: list[Transform] = []
    for each in transforms:
        joined = getattr(fused[-1], "fuse_with", lambda _: None)(each) if fused else None
        if joined is not None:
            fused[-1] = joined
        else:
            fused.append(each)
    return fused


_ABSENT = object()


def _pick(results: Sample, source: Any, *, missing_ok: bool) -> Any:
    if source is ...:
        return _ABSENT
    if isinstance(source, Mapping):
        return {key: _pick(results, value, missing_ok=missing_ok) for key, value in source.items()}
    if isinstance(source, (list, tuple)):
        return [_pick(results, value, missing_ok=missing_ok) for value in source]
    if source not in results and missing_ok:
        return _ABSENT
    return results[source]


def _scatter(results: Sample, target: Any, value: Any) -> None:
    if target is ...:
        return
    if isinstance(target, Mapping):
        for key, each in target.items():
            _scatter(results, each, value[key])
    elif isinstance(target, (list, tuple)):
        for each, part in zip(target, value, strict=True):
            _scatter(results, each, part)
    else:
        results[target] = value


def _build(cfg: TransformConfig) -> Transform:
    if isinstance(cfg, Mapping):
        built: Transform = TRANSFORMS.build(cfg)
        return built
    if callable(cfg):
        return cfg
    raise ConfigError(
        "a pipeline holds transforms: dicts with `type`, or callables",
        code="bad-argument",
        causes=[f"got {type(cfg).__name__}: {cfg!r:.100}"],
    )


def _check_probability(value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError("a probability lies between 0 and 1", code="bad-argument", causes=[f"got {value}"])
