"""Pascal VOC: one XML file for each image, and text files that list the images of a split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mimctl.engine.data.transform import Sample
from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import bad_annotations
from mimctl.engine.registry import DATASETS
from mimctl_det.datasets.base import BaseDetDataset
from mimctl_det.datasets.picture import picture_size

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@DATASETS.register_module()
class XMLDataset(BaseDetDataset):
    """Images listed by name (without suffix) in `ann_file`, one a line, each with an XML file.

    `data_prefix['sub_data_root']` holds the folders `img_subdir` and `ann_subdir`. VOC counts pixels from 1, so 1 is
    subtracted from the corners. `difficult` objects, and those smaller than filter_cfg's `bbox_min_size`, get
    `ignore_flag` 1; objects without area are left out.
    """

    def __init__(self, img_subdir: str = "JPEGImages", ann_subdir: str = "Annotations", **kwargs: Any) -> None:
        self.img_subdir = img_subdir
        self.ann_subdir = ann_subdir
        self._pictures: dict[str, str] = {}
        super().__init__(**kwargs)

    @property
    def sub_data_root(self) -> str:
        """Return the folder that holds the images' and the annotations' folders."""
        return str(self.data_prefix.get("sub_data_root") or self.data_root)

    def load_data_list(self) -> list[Sample]:
        """Read the list and every XML file. Raises MimctlError[missing-file], [bad-annotations], [class-mismatch]."""
        self.cat2label = {name: label for label, name in enumerate(self.classes)}
        folder = fileio.join(self.sub_data_root, self.img_subdir)
        self._pictures = {Path(name).stem: name for name in fileio.list_dir(folder, self.backend_args)}
        seen: set[str] = set()
        found = [self._read_file(line.split()[0], seen) for line in self.read_lines(self.ann_file)]
        self.require_classes(sorted(seen))
        return found

    def _read_file(self, key: str, seen: set[str]) -> Sample:
        name = self._pictures.get(key, f"{key}.jpg")
        path = fileio.join(self.sub_data_root, fileio.join(self.ann_subdir, f"{key}.xml"))
        info: Sample = {
            "img_id": key,
            "img_path": fileio.join(self.sub_data_root, fileio.join(self.img_subdir, name)),
            "file_name": fileio.join(self.img_subdir, name),
            "xml_path": path,
        }
        try:
            root = ElementTree.fromstring(fileio.get(path, self.backend_args))
        except ElementTree.ParseError as err:
            raise bad_annotations(path, "is not valid XML", str(err)) from err
        info["height"], info["width"] = _size(root) or picture_size(info["img_path"], self.backend_args)
        seen.update((each.findtext("name") or "").strip() for each in root.iter("object"))
        objects = (self._read_object(each, path) for each in root.iter("object"))
        info["instances"] = [each for each in objects if each is not None]
        return self.describe_classes(info)

    def _read_object(self, element: ElementTree.Element, path: str) -> dict[str, Any] | None:
        label = self.cat2label.get((element.findtext("name") or "").strip())
        if label is None:
            return None
        try:
            box = [float(element.findtext(f"bndbox/{corner}") or "") - 1 for corner in CORNERS]
        except ValueError as err:
            raise bad_annotations(path, f"an object `{element.findtext('name')}` has no box of four numbers") from err
        width, height = box[2] - box[0], box[3] - box[1]
        if width <= 0 or height <= 0:
            return None
        least = (self.filter_cfg or {}).get("bbox_min_size") or 0
        is_small = not self.test_mode and min(width, height) < least
        is_difficult = (element.findtext("difficult") or "0").strip() not in ("0", "")
        return {"bbox": box, "bbox_label": label, "ignore_flag": int(is_small or is_difficult)}


@DATASETS.register_module()
class VOCDataset(XMLDataset):
    """Pascal VOC 2007 and 2012 with their 20 classes; metainfo's `dataset_type` says which, by the folder's name."""

    # fmt: off
    METAINFO: Mapping[str, Any] = {
        "classes": (
            "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
            "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
        ),
    }
    # fmt: on

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        years = [year for year in ("VOC2007", "VOC2012") if year in self.sub_data_root]
        self._metainfo["dataset_type"] = years[0] if years else None


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return (height, width) as the file says, or None where it does not."""
    try:
        size = int(float(root.findtext("size/height") or 0)), int(float(root.findtext("size/width") or 0))
    except ValueError:
        return None
    return size if min(size) > 0 else None
