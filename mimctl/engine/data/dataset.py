"""BaseDataset: annotations read once, samples prepared by a pipeline on demand.

Semantics and argument names are MMEngine's (`mmengine.dataset.BaseDataset`).
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch.utils.data import Dataset

from mimctl.engine.data.failures import FetchTogether
from mimctl.engine.data.randomness import seeded, tries
from mimctl.engine.data.transform import Compose, Sample, TransformConfig
from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import load
from mimctl.engine.registry import DATASETS
from mimctl.errors import ConfigError, MimctlError


@DATASETS.register_module()
class BaseDataset(FetchTogether, Dataset[Any]):
    """A list of samples described by an annotation file, each prepared by `pipeline`.

    Subclasses override `load_data_list` (or `parse_data_info`) and `filter_data`. `ann_file` and the values of
    `data_prefix` are taken relative to `data_root`. `serialize_data` keeps the list as one array of bytes, which
    workers share instead of copying. In `test_mode` nothing is filtered and a sample that fails is an error; else
    up to `max_refetch` other samples are tried in its place.
    """

    METAINFO: Mapping[str, Any] = {}

    def __init__(
        self,
        ann_file: str | None = "",
        metainfo: Mapping[str, Any] | None = None,
        data_root: str | None = "",
        data_prefix: Mapping[str, Any] = {"img_path": ""},
        filter_cfg: Mapping[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[TransformConfig] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        self.ann_file = ann_file or ""
        self._metainfo = _load_metainfo(self.METAINFO, metainfo)
        self.data_root = data_root or ""
        self.data_prefix: dict[str, Any] = dict(data_prefix)
        self.filter_cfg = copy.deepcopy(dict(filter_cfg)) if filter_cfg is not None else None
        self._indices = indices
        self.serialize_data = serialize_data
        self.test_mode = test_mode
        self.max_refetch = max_refetch
        self.data_list: list[Sample] = []
        self._bytes = np.empty(0, np.uint8)
        self._ends = np.empty(0, np.int64)
        self._fully_initialized = False
        self._join_prefix()
        self.pipeline = Compose(list(pipeline))
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict[str, Any]:
        """Return a copy of what is known of the whole set, e.g. `classes`."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Read, filter and pack the annotations; nothing happens the second time."""
        if self._fully_initialized:
            return
        self.data_list = self.load_data_list()
        self.data_list = self.filter_data()
        if self._indices is not None:
            self.data_list = [self.data_list[each] for each in _chosen(self._indices, len(self.data_list))]
        if self.serialize_data:
            self._pack()
        self._fully_initialized = True

    def load_data_list(self) -> list[Sample]:
        """Read `ann_file`: `{"metainfo": {…}, "data_list": [{…}, …]}` as JSON or YAML.

        Raises MimctlError[missing-file] or MimctlError[bad-annotations].
        """
        annotations = load(self.ann_file)
        if not isinstance(annotations, Mapping) or not {"metainfo", "data_list"} <= annotations.keys():
            raise MimctlError(
                f"{self.ann_file} is no annotation file of this dataset",
                code="bad-annotations",
                causes=["it needs the keys `metainfo` and `data_list` at its top"],
            )
        for key, value in annotations["metainfo"].items():
            self._metainfo.setdefault(key, value)
        found: list[Sample] = []
        for raw in annotations["data_list"]:
            parsed = self.parse_data_info(raw)
            found.extend(parsed if isinstance(parsed, list) else [parsed])
        return found

    def parse_data_info(self, raw_data_info: Sample) -> Sample | list[Sample]:
        """Turn one entry of the annotation file into one sample, or several; paths get their prefix."""
        for key, prefix in self.data_prefix.items():
            if key not in raw_data_info:
                raise MimctlError(
                    f"{self.ann_file}: an entry lacks `{key}`, which `data_prefix` names",
                    code="bad-annotations",
                    causes=[f"it has {', '.join(map(str, raw_data_info))}"],
                )
            raw_data_info[key] = fileio.join(prefix, raw_data_info[key])
        return raw_data_info

    def filter_data(self) -> list[Sample]:
        """Return the part of `self.data_list` to keep; subclasses read `self.filter_cfg`."""
        return self.data_list

    def get_data_info(self, idx: int) -> Sample:
        """Return a copy of the annotations of one sample, with `sample_idx`."""
        self._need_init()
        if self.serialize_data:
            position = int(idx) if idx >= 0 else len(self) + int(idx)
            if not 0 <= position < len(self):
                raise IndexError(f"sample {idx} of {len(self)}")
            start = 0 if position == 0 else int(self._ends[position - 1])
            info: Sample = pickle.loads(self._bytes[start : int(self._ends[position])].data)
        else:
            info = copy.deepcopy(self.data_list[idx])
        info["sample_idx"] = int(idx) if idx >= 0 else len(self) + int(idx)
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the class index of every object in a sample (needed by ClassBalancedDataset)."""
        raise NotImplementedError(f"{type(self).__name__} does not tell the classes of a sample")

    def prepare_data(self, idx: int) -> Any:
        """Return the sample after the pipeline, or None where the pipeline refuses it."""
        return self.pipeline(self.get_data_info(idx))

    def __len__(self) -> int:
        self._need_init()
        return len(self._ends) if self.serialize_data else len(self.data_list)

    def __getitem__(self, idx: int) -> Any:
        self._need_init()
        with seeded(idx):
            return self._fetch(idx)

    def _fetch(self, idx: int) -> Any:
        if self.test_mode:
            data = self.prepare_data(idx)
            if data is None:
                raise MimctlError(
                    f"the test pipeline returned nothing for sample {idx}",
                    code="empty-sample",
                    causes=[f"a test pipeline must keep every sample: {self.pipeline!r}"],
                )
            return data
        for number in tries(self.max_refetch + 1):
            data = self.prepare_data(idx if number == 0 else self._rand_another())
            if data is not None:
                return data
        raise MimctlError(
            f"no usable sample in {self.max_refetch} tries",
            code="empty-sample",
            causes=[
                f"each was refused by the pipeline: {self.pipeline!r}",
                f"dataset: {type(self).__name__} of {self.ann_file}",
            ],
        )

    def _rand_another(self) -> int:
        return int(np.random.randint(0, len(self)))

    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep only the first `indices` samples (the last, if negative), or those listed, in place."""
        self._need_init()
        kept = [self._stored(each) for each in _chosen(indices, len(self))]
        self.data_list = kept
        if self.serialize_data:
            self._pack()

    def get_subset(self, indices: int | Sequence[int]) -> Self:
        """Return a copy that holds only these samples."""
        subset = copy.copy(self)
        subset._metainfo = copy.deepcopy(self._metainfo)
        subset.get_subset_(indices)
        return subset

    def _stored(self, idx: int) -> Sample:
        info = self.get_data_info(idx)
        del info["sample_idx"]
        return info

    def _need_init(self) -> None:
        if not self._fully_initialized:
            self.full_init()

    def _join_prefix(self) -> None:
        if self.ann_file:
            self.ann_file = fileio.join(self.data_root, self.ann_file)
        for key, prefix in self.data_prefix.items():
            if not isinstance(prefix, str):
                raise ConfigError(
                    f"data_prefix.{key} is a path",
                    code="bad-argument",
                    causes=[f"got {type(prefix).__name__}"],
                )
            self.data_prefix[key] = fileio.join(self.data_root, prefix)

    def _pack(self) -> None:
        parts = [np.frombuffer(pickle.dumps(each, protocol=4), np.uint8) for each in self.data_list]
        self._ends = np.cumsum([len(each) for each in parts], dtype=np.int64)
        self._bytes = np.concatenate(parts) if parts else np.empty(0, np.uint8)
        self.data_list = []


def _load_metainfo(declared: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    merged = copy.deepcopy({**declared, **(given or {})})
    for key, value in merged.items():
        # `metainfo=dict(classes='classes.txt')`: a file with one name a line
        if isinstance(value, str) and Path(value).is_file():
            merged[key] = fileio.get_text(value).splitlines()
    return merged


def _chosen(indices: int | Sequence[int], length: int) -> Sequence[int]:
    if isinstance(indices, int):
        return range(min(indices, length)) if indices >= 0 else range(max(length + indices, 0), length)
    return indices
