"""MultiLabelDataset: images with any number of labels, listed in a JSON file."""

from __future__ import annotations

from mimctl.engine.data.transform import Sample
from mimctl.engine.files.datafiles import bad_annotations
from mimctl.engine.registry import DATASETS
from mimctl_cls.datasets.base import BaseDataset


@DATASETS.register_module()
class MultiLabelDataset(BaseDataset):
    """A BaseDataset in which `gt_label` of each sample is a list of class indices, which may be empty."""

    def parse_data_info(self, raw_data_info: Sample) -> Sample | list[Sample]:
        """Return the sample. Raises MimctlError[bad-annotations] where its label is no list."""
        if not isinstance(raw_data_info.get("gt_label", []), list):
            raise bad_annotations(
                f"{self.ann_file}: {raw_data_info.get('img_path')}",
                f"`gt_label` is a list of class numbers, not {raw_data_info['gt_label']!r:.40}",
            )
        return super().parse_data_info(raw_data_info)
