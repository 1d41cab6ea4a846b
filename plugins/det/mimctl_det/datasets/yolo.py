"""YOLODataset: a text file beside each image with one object a line, coordinates as shares of the image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.engine.data.transform import Sample
from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import bad_annotations
from mimctl.engine.registry import DATASETS
from mimctl.vision.folders.model import images_below
from mimctl_det.datasets.base import BaseDetDataset
from mimctl_det.datasets.picture import picture_size


@DATASETS.register_module()
class YOLODataset(BaseDetDataset):
    """Images with labels in YOLO's text format.

    `ann_file` lists the images, one a line, relative to `data_prefix['img']`; without it, every image of that folder.
    The labels of `…/images/….jpg` are in `…/labels/….txt` (the last folder named images counts), or under
    `data_prefix['ann']` where that is given. A line is `class x y width height` (box centre) or `class x1 y1 x2 y2
    x3 y3 …` (polygon). An image without a label file has no objects.
    """

    def load_data_list(self) -> list[Sample]:
        """Read every label file. Raises MimctlError[missing-file] or [bad-annotations] with file and line."""
        folder = self.data_prefix.get("img") or self.data_root
        names = self.read_lines(self.ann_file) if self.ann_file else _images_below(folder)
        return [self._read_image(folder, name) for name in names]

    def _read_image(self, folder: str, name: str) -> Sample:
        path = fileio.join(folder, name)
        height, width = picture_size(path, self.backend_args)
        info: Sample = {"img_id": name, "img_path": path, "height": height, "width": width, "instances": []}
        labels = self._label_path(path, name)
        if fileio.exists(labels, self.backend_args):
            text = fileio.get_text(labels, backend_args=self.backend_args)
            for number, line in enumerate(text.splitlines(), start=1):
                if line.strip():
                    found = self._read_line(line.split(), width, height, f"{labels}:{number}")
                    info["instances"].extend(found)
        return self.describe_classes(info)

    def _label_path(self, path: str, name: str) -> str:
        if self.data_prefix.get("ann"):
            return fileio.join(self.data_prefix["ann"], str(PurePosixPath(name).with_suffix(".txt")))
        parts = list(Path(path).parts)
        for number in range(len(parts) - 2, -1, -1):
            if parts[number] == "images":
                parts[number] = "labels"
                break
        return str(Path(*parts).with_suffix(".txt"))

    def _read_line(self, words: list[str], width: int, height: int, place: str) -> list[dict[str, Any]]:
        try:
            label, numbers = int(words[0]), [float(each) for each in words[1:]]
        except ValueError as err:
            raise bad_annotations(place, f"`{' '.join(words)[:60]}` is not `class x y width height`") from err
        is_polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
        if not is_polygon and len(numbers) not in (4, 5):
            raise bad_annotations(
                place, f"has {len(words)} numbers; a box has 5, a polygon an odd number of at least 7"
            )
        if label < 0 or (self.classes and label >= len(self.classes)):
            raise bad_annotations(place, f"class {label} of {len(self.classes)}")
        return _polygon(label, numbers, width, height) if is_polygon else _box(label, numbers, width, height)


def _box(label: int, numbers: list[float], width: int, height: int) -> list[dict[str, Any]]:
    x, y, w, h = (share * edge for share, edge in zip(numbers[:4], (width, height, width, height), strict=True))
    if w <= 0 or h <= 0:
        return []
    return [{"bbox": [x - w / 2, y - h / 2, x + w / 2, y + h / 2], "bbox_label": label, "ignore_flag": 0}]


def _polygon(label: int, numbers: list[float], width: int, height: int) -> list[dict[str, Any]]:
    points = [share * (height if place % 2 else width) for place, share in enumerate(numbers)]
    xs, ys = points[0::2], points[1::2]
    box = [min(xs), min(ys), max(xs), max(ys)]
    if box[2] <= box[0] or box[3] <= box[1]:
        return []
    return [{"bbox": box, "bbox_label": label, "ignore_flag": 0, "mask": [points]}]


def _images_below(folder: str) -> list[str]:
    root = Path(folder)
    if not root.is_dir():
        raise fileio.missing_file(folder)
    return sorted(str(path.relative_to(root)) for path in images_below(root))
