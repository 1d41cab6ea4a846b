"""ImageNet's folders: `train`, `val` and `test`, each with a folder for each class or a list in `meta`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.engine.files import fileio
from mimctl.engine.registry import DATASETS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError
from mimctl_cls import class_names
from mimctl_cls.datasets.custom import CustomDataset

SPLITS = ("train", "val", "test")


@DATASETS.register_module()
class ImageNet(CustomDataset):
    """A CustomDataset of ImageNet's 1,000 classes, whose `split` chooses the folder and, where it is there, the list.

    `meta/<split>.txt` below `data_root` is taken for the annotation file. The test set has no labels.
    """

    METAINFO: Mapping[str, Any] = {"classes": class_names.listed("imagenet")}

    def __init__(
        self,
        data_root: str = "",
        split: str = "",
        data_prefix: str | Mapping[str, str] = "",
        ann_file: str = "",
        metainfo: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if split:
            require_split(split, SPLITS)
            if split == "test":
                get_logger().info("ImageNet's test set has no labels: they are not read")
                kwargs["with_label"] = False
            listing = fileio.join("meta", f"{split}.txt")
            data_prefix = data_prefix or split
            if not ann_file and fileio.exists(fileio.join(data_root, listing)):
                ann_file = listing
        super().__init__(data_root=data_root, data_prefix=data_prefix, ann_file=ann_file, metainfo=metainfo, **kwargs)


def require_split(split: str, known: tuple[str, ...]) -> None:
    """Raise ConfigError[bad-argument] unless the set has a split of that name."""
    if split not in known:
        raise ConfigError(f"there is no split `{split}`", code="bad-argument", causes=[f"known: {', '.join(known)}"])
