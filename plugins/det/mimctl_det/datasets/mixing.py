"""MultiImageMixDataset: a dataset whose pipeline may ask for further samples (mosaic, mix-up)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.engine.data import BaseDataset
from mimctl.engine.data.randomness import seeded
from mimctl.engine.data.wrappers import DatasetWrapper
from mimctl.engine.registry import DATASETS, TRANSFORMS
from mimctl.errors import ConfigError, MimctlError


@DATASETS.register_module()
class MultiImageMixDataset(DatasetWrapper):
    """Run `pipeline` on samples of `dataset`; a transform with `get_indexes(dataset)` gets `mix_results`.

    Transforms whose type is among `skip_type_keys` are passed over (YOLOX switches mosaic off that way). Where the
    pipeline refuses a sample, another one is tried, `max_refetch` times.
    """

    def __init__(
        self,
        dataset: Mapping[str, Any] | BaseDataset,
        pipeline: Sequence[Mapping[str, Any]],
        skip_type_keys: Sequence[str] | None = None,
        max_refetch: int = 15,
        lazy_init: bool = False,
    ) -> None:
        self.dataset: Any = DATASETS.build(dataset)
        self._metainfo = self.dataset.metainfo
        self.max_refetch = max_refetch
        for each in pipeline:
            if not isinstance(each, Mapping):
                raise ConfigError("the pipeline of MultiImageMixDataset holds dicts", code="bad-argument")
        self.pipeline_types = [each["type"] for each in pipeline]
        self.pipeline = [TRANSFORMS.build(each) for each in pipeline]
        self._skip_type_keys = tuple(skip_type_keys or ())
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Initialise the inner dataset; nothing happens the second time."""
        if not self._fully_initialized:
            self.dataset.full_init()
            self._fully_initialized = True

    def locate(self, idx: int) -> tuple[Any, int]:
        """Return the inner dataset and the index there."""
        return self.dataset, idx

    def __len__(self) -> int:
        self.full_init()
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        self.full_init()
        with seeded(idx):
            sample = dict(self.dataset[int(idx)])
            for transform, kind in zip(self.pipeline, self.pipeline_types, strict=True):
                if kind in self._skip_type_keys:
                    continue
                sample = self._apply(transform, sample)
            return sample

    def update_skip_type_keys(self, skip_type_keys: Sequence[str]) -> None:
        """Choose the transform types to pass over from now on."""
        self._skip_type_keys = tuple(skip_type_keys)

    def _apply(self, transform: Any, sample: dict[str, Any]) -> dict[str, Any]:
        for _ in range(self.max_refetch + 1):
            mixed = dict(sample)
            if hasattr(transform, "get_indexes"):
                drawn = transform.get_indexes(self.dataset)
                mixed["mix_results"] = [self.dataset[each] for each in (drawn if isinstance(drawn, list) else [drawn])]
            changed = transform(mixed)
            if changed is not None:
                changed.pop("mix_results", None)
                return dict(changed)
        raise MimctlError(
            f"{type(transform).__name__} refused a sample {self.max_refetch} times",
            code="empty-sample",
            hints=["look at the transform's limits, or raise max_refetch"],
        )
