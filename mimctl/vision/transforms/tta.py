"""TestTimeAug: one sample seen several ways at test time."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.engine.data.transform import BaseTransform, Compose, Sample, TransformConfig
from mimctl.engine.registry import TRANSFORMS


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


def _flat(combination: Sequence[Any]) -> list[TransformConfig]:
    steps: list[TransformConfig] = []
    for each in combination:
        steps.extend([each] if isinstance(each, Mapping) or callable(each) else each)
    return steps
