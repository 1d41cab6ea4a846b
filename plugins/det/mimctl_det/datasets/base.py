"""BaseDetDataset: what the datasets of boxes and masks share.

A sample has `img_path`, `img_id`, `height`, `width` and `instances`: dicts with `bbox` (x1 y1 x2 y2 in pixels),
`bbox_label` (index into metainfo's `classes`), `ignore_flag` (0 or 1) and perhaps `mask`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.engine.data import BaseDataset
from mimctl.engine.data.transform import Sample
from mimctl.engine.files import fileio
from mimctl.engine.registry import DATASETS
from mimctl.errors import MimctlError, nearest
from mimctl_det.datasets.proposals import add_proposals


@DATASETS.register_module()
class BaseDetDataset(BaseDataset):
    """A dataset of images with boxes.

    `filter_cfg` has `filter_empty_gt` (leave out images without objects), `min_size` (least edge of an image in
    pixels) and, for VOC, `bbox_min_size`. In `test_mode` nothing is left out, and each sample carries its untouched
    objects as `raw_instances`, which metrics without an annotation file take as the truth. `proposal_file`, relative to
    `data_root`, has boxes that were computed before (`proposals`).
    """

    def __init__(
        self,
        *args: Any,
        seg_map_suffix: str = ".png",
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        return_classes: bool = False,
        caption_prompt: Mapping[str, Any] | None = None,
        proposal_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.seg_map_suffix = seg_map_suffix
        self.backend_args = backend_args or file_client_args
        self.return_classes = return_classes
        self.caption_prompt = caption_prompt
        self.proposal_file = proposal_file
        super().__init__(*args, **kwargs)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names; a label is an index into them."""
        return tuple(self._metainfo.get("classes", ()))

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of every object of a sample."""
        return [each["bbox_label"] for each in self.get_data_info(idx)["instances"]]

    def prepare_data(self, idx: int) -> Any:
        """Return the sample after the pipeline, or None where the pipeline refuses it."""
        info = self.get_data_info(idx)
        if self.test_mode:
            info["raw_instances"] = info["instances"]
        return self.pipeline(info)

    def filter_data(self) -> list[Sample]:
        """Leave out small images, and images without objects where `filter_empty_gt`; in test mode none.

        Before that every image gets the boxes of `proposal_file`, where there is one.
        """
        if self.proposal_file:
            add_proposals(self.data_list, fileio.join(self.data_root, self.proposal_file), self.backend_args)
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        least = self.filter_cfg.get("min_size", 0)
        no_empty = self.filter_cfg.get("filter_empty_gt", False)
        return [
            each
            for each in self.data_list
            if min(each["height"], each["width"]) >= least and (not no_empty or self.has_objects(each))
        ]

    def has_objects(self, info: Sample) -> bool:
        """Tell whether an image counts as having objects."""
        return bool(info["instances"])

    def describe_classes(self, info: Sample) -> Sample:
        """Add the class names as a text prompt where `return_classes` asks for it."""
        if self.return_classes:
            info.update(text=self.classes, caption_prompt=self.caption_prompt, custom_entities=True)
        return info

    def require_classes(self, known: Sequence[str]) -> None:
        """Refuse classes none of which the annotations have: every label would be lost.

        Raises MimctlError[class-mismatch].
        """
        if not self.classes or not known or set(self.classes) & set(known):
            return
        near = [each for name in self.classes[:3] for each in nearest(name, list(known), most=1)]
        raise MimctlError(
            f"none of the {len(self.classes)} classes of the config is in {self.ann_file or self.data_root}",
            code="class-mismatch",
            causes=[f"config: {_listed(self.classes)}", f"annotations: {_listed(known)}"],
            hints=[
                *([f"did you mean {', '.join(f'`{each}`' for each in dict.fromkeys(near))}?"] if near else []),
                "set metainfo=dict(classes=(…)) of the dataset, names spelled as in the annotations",
            ],
        )

    def read_lines(self, path: str) -> list[str]:
        """Return the lines of a text file that are not empty."""
        return [
            each.strip() for each in fileio.get_text(path, backend_args=self.backend_args).splitlines() if each.strip()
        ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, … ({len(names)})"
