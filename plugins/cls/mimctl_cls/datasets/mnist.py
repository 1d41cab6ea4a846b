"""MNIST and data sets in its form: 28 x 28 grey pictures in IDX files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.engine.data.transform import Sample
from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import bad_annotations
from mimctl.engine.registry import DATASETS
from mimctl_cls import class_names
from mimctl_cls.datasets.published import PublishedDataset
from mimctl_cls.idx import find_idx, read_idx


@DATASETS.register_module()
class MNIST(PublishedDataset):
    """Handwritten digits; a sample's `img` is (28, 28) uint8, bright on black.

    The test files (`t10k-…`) are read in `test_mode` or for the split `test`, else the training files (`train-…`),
    packed with gzip or not, from `data_prefix` below `data_root`. Raises MimctlError[missing-file] with what to fetch,
    [bad-annotations].
    """

    published_as = "mnist"
    METAINFO: Mapping[str, Any] = {"classes": class_names.MNIST}

    def load_data_list(self) -> list[Sample]:
        """Read the pictures and their labels."""
        stem = "t10k" if self.test_mode or self.split == "test" else "train"
        pictures_path = self._find(f"{stem}-images", 3)
        labels_path = self._find(f"{stem}-labels", 1)
        pictures, labels = read_idx(pictures_path, 3), read_idx(labels_path, 1)
        if len(pictures) != len(labels):
            raise bad_annotations(labels_path, f"holds {len(labels)} labels for {len(pictures)} pictures")
        if len(labels):
            self.require_label(int(labels.max()), labels_path)
        return [{"img": image, "gt_label": int(label)} for image, label in zip(pictures, labels, strict=True)]

    def _find(self, stem: str, dimensions: int) -> str:
        root = self.data_prefix["root"]
        found = find_idx(root, stem, dimensions)
        if found is None:
            raise self.not_there(fileio.join(root, f"{stem}-idx{dimensions}-ubyte.gz"))
        return found


@DATASETS.register_module()
class FashionMNIST(MNIST):
    """Pictures of clothes in MNIST's form (Xiao et al., 2017)."""

    published_as = "fashion-mnist"
    METAINFO: Mapping[str, Any] = {"classes": class_names.FASHION_MNIST}
