"""The `data` verb: recognise a folder of classified images, report what is in it, and name its splits.

Runs before any training starts, without torch.
"""

from __future__ import annotations

from typing import Any

from mimctl.spec import RunSpec
from mimctl.vision.folders.describe import describe_folder
from mimctl.vision.folders.model import Found, Layout, Split
from mimctl_cls.layouts.folders import FoldersLayout
from mimctl_cls.layouts.idx_files import IdxLayout
from mimctl_cls.layouts.lists import ListsLayout

LAYOUTS: tuple[Layout, ...] = (IdxLayout(), ListsLayout(), FoldersLayout())
KNOWN = (
    "no folders of classes (cat/*.jpg, dog/*.jpg, or train/cat/*.jpg beside val/), no lists (train.txt or "
    "meta/train.txt of `path label` lines) and no IDX files (t10k-images-idx3-ubyte.gz) were found"
)


def describe(spec: RunSpec) -> dict[str, Any]:
    """Return a report of the folder `options["dir"]` as plain data (`mimctl.vision.folders.describe_folder`)."""
    return describe_folder(spec, LAYOUTS, known=KNOWN, shortage=_shortage)


def _shortage(found: Found, splits: dict[str, Split]) -> list[str]:
    lacking = []
    if len(found.classes) == 1:
        lacking.append(f"there is one class alone, `{found.classes[0]}`: nothing has to be told apart")
    total = sum(len(split.samples) for split in found.splits.values())
    if "train" not in splits and not found.problems:
        lacking.append(f"{total} images are too few for a training and a validation split")
    lacking += [f"the split `{name}` has no image" for name, split in splits.items() if not split.samples]
    return lacking
