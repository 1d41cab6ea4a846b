"""BaseDataset: what the datasets of classification share.

A sample has `img_path` (or `img`, an array) and `gt_label`: an index into metainfo's `classes`, or a list of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mimctl.engine.data import BaseDataset as EngineDataset
from mimctl.engine.data.transform import Sample, TransformConfig
from mimctl.engine.files.datafiles import bad_annotations, list_from_file
from mimctl.engine.registry import DATASETS


@DATASETS.register_module()
class BaseDataset(EngineDataset):
    """Samples of an annotation file `{"metainfo": {"classes": […]}, "data_list": [{"img_path", "gt_label"}, …]}`.

    `data_prefix` as a text is that of `img_path`. `classes` are the class names, or a file with one a line; they come
    after metainfo's own. Raises MimctlError[bad-annotations] for a label that is none of the classes.
    """

    def __init__(
        self,
        ann_file: str,
        metainfo: Mapping[str, Any] | None = None,
        data_root: str = "",
        data_prefix: str | Mapping[str, str] = "",
        filter_cfg: Mapping[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[TransformConfig] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
        classes: str | Sequence[str] | None = None,
    ) -> None:
        named = list_from_file(_home(classes)) if isinstance(classes, str) else classes
        super().__init__(
            ann_file=_home(ann_file),
            metainfo={**({"classes": tuple(named)} if named is not None else {}), **(metainfo or {})},
            data_root=_home(data_root),
            data_prefix={"img_path": _home(data_prefix)} if isinstance(data_prefix, str) else data_prefix,
            filter_cfg=filter_cfg,
            indices=indices,
            serialize_data=serialize_data,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
        )

    @property
    def img_prefix(self) -> str:
        """Return the folder that image paths are relative to."""
        return str(self.data_prefix["img_path"])

    @property
    def CLASSES(self) -> tuple[str, ...] | None:  # noqa: N802 - the field's name
        """Return the class names, None where they are not known."""
        names = self._metainfo.get("classes")
        return None if names is None else tuple(names)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Return class name → index."""
        return {name: index for index, name in enumerate(self.CLASSES or ())}

    def get_gt_labels(self) -> npt.NDArray[Any]:
        """Return the labels of all samples, (N,)."""
        return np.array([self.get_data_info(index)["gt_label"] for index in range(len(self))])

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label (or labels) of a sample."""
        label = self.get_data_info(idx)["gt_label"]
        return [int(each) for each in label] if isinstance(label, list | tuple) else [int(label)]

    def full_init(self) -> None:
        """Read the samples and check their labels; nothing happens the second time."""
        if self._fully_initialized:
            return
        super().full_init()
        if "categories" in self._metainfo and "classes" not in self._metainfo:
            ordered = sorted(self._metainfo["categories"], key=lambda each: each["id"])
            self._metainfo["classes"] = tuple(each["category_name"] for each in ordered)

    def filter_data(self) -> list[Sample]:
        """Return all samples, after a look at their labels."""
        for number, info in enumerate(self.data_list):
            if "gt_label" in info:
                place = f"{self.ann_file or self.data_root}: {info.get('img_path') or f'sample {number}'}"
                self.require_label(info["gt_label"], place)
        return self.data_list

    def require_label(self, label: Any, place: str) -> None:
        """Raise MimctlError[bad-annotations], naming the place, unless each label is the index of a class."""
        classes = self.CLASSES
        for each in label if isinstance(label, list | tuple) else (label,):
            if isinstance(each, bool) or not isinstance(each, int | np.integer) or each < 0:
                raise bad_annotations(place, f"a label is the number of a class, not {each!r:.40}")
            if classes is not None and each >= len(classes):
                raise bad_annotations(
                    place,
                    f"label {each} is outside of {len(classes)} classes (0 to {len(classes) - 1})",
                    hints=["name all classes: `metainfo=dict(classes=(…))` of the dataset"],
                )


def _home(path: Any) -> Any:
    return os.path.expanduser(path) if isinstance(path, str) and path.startswith("~") else path  # noqa: PTH111
