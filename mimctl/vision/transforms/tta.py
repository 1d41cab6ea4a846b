"""TestTimeAug: one sample seen several ways at test time."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.engine.data.transform import BaseTransform, Compose, Sample, TransformConfig
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError


@TRANSFORMS.register_module()
class TestTimeAug(BaseTransform):
    """Run every combination of alternatives: `transforms` is a list of steps, each a list of alternatives.

    `[[A1, A2], [B]]` runs A1 B and A2 B. The result holds, for each key, the list over the combinations.
    """

    __test__ = False  # the name is upstream's; this is no test case

    def __init__(self, transforms: Sequence[Sequence[TransformConfig | Sequence[TransformConfig]]]) -> None:
        self.subroutines = [Compose(_flat(combination)) for combination in itertools.product(*transforms)]

    def transform(self, results: Sample) -> Any:
        """Return the packed results of all combinations, key by key."""
        found = [subroutine(copy.copy(results)) for subroutine in self.subroutines]
        return {key: [each[key] for each in found] for key in found[0]}


@TRANSFORMS.register_module()
class MultiScaleFlipAug(BaseTransform):
    """See a sample at several scales, as it is and flipped: lists under `inputs` and `data_sample`.

    Sizes are given by `scales` (width, height) or `scale_factor`, not both; without either the size stays. `transforms`
    come after resizing (`resize_cfg`) and flipping (`flip_cfg`), and pack the sample.
    """

    def __init__(
        self,
        transforms: Sequence[TransformConfig],
        scales: tuple[int, int] | Sequence[tuple[int, int]] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        allow_flip: bool = False,
        flip_direction: str | Sequence[str] = "horizontal",
        resize_cfg: Mapping[str, Any] = {"type": "Resize", "keep_ratio": True},
        flip_cfg: Mapping[str, Any] = {"type": "RandomFlip"},
    ) -> None:
        if scales is not None and scale_factor is not None:
            raise ConfigError("sizes are given by `scales` or by `scale_factor`, not both", code="bad-argument")
        sizes: list[Mapping[str, Any]] = [{"scale_factor": 1.0}]
        if scales is not None:
            listed = [scales] if isinstance(scales, tuple) else scales
            sizes = [{"scale": each} for each in listed]
        elif scale_factor is not None:
            factors = [scale_factor] if isinstance(scale_factor, int | float) else scale_factor
            sizes = [{"scale_factor": each} for each in factors]
        directions = [flip_direction] if isinstance(flip_direction, str) else list(flip_direction)
        flips = [{**flip_cfg, "prob": 0.0}]
        if allow_flip:
            flips += [{**flip_cfg, "prob": 1.0, "direction": each} for each in directions]
        self.subroutines = [Compose([{**resize_cfg, **size}, flip, *transforms]) for size in sizes for flip in flips]

    def transform(self, results: Sample) -> dict[str, list[Any]]:
        """Return `inputs` and `data_sample` of every view, sizes first."""
        found = [subroutine(copy.copy(results)) for subroutine in self.subroutines]
        samples = [each.get("data_sample", each.get("data_samples")) for each in found]
        return {"inputs": [each["inputs"] for each in found], "data_sample": samples}


def _flat(combination: Sequence[Any]) -> list[TransformConfig]:
    steps: list[TransformConfig] = []
    for each in combination:
        steps.extend([each] if isinstance(each, Mapping) or callable(each) else each)
    return steps
