"""CocoDataset: annotations in COCO's JSON format (boxes, polygons, run-length masks, crowds)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from mimctl.engine.data.transform import Sample
from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import bad_annotations, load
from mimctl.engine.registry import DATASETS
from mimctl_det.datasets.base import BaseDetDataset

# fmt: off
COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on


@DATASETS.register_module()
class CocoDataset(BaseDetDataset):
    """Images and objects of a COCO file. Labels follow the order of metainfo's `classes`, not that of the file.

    Objects of other categories, without area or outside of their image are left out; crowds get `ignore_flag` 1.
    """

    METAINFO: Mapping[str, Any] = {"classes": COCO_CLASSES}

    def load_data_list(self) -> list[Sample]:
        """Read the file. Raises MimctlError[missing-file], [bad-annotations] or [class-mismatch]."""
        document = load_coco(self.ann_file, self.backend_args)
        named = {each["name"]: each["id"] for each in document.get("categories", ())}
        self.require_classes(list(named))
        self.cat_ids = [named[name] for name in self.classes if name in named]
        self.cat2label = {named[name]: label for label, name in enumerate(self.classes) if name in named}
        objects: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for each in document.get("annotations", ()):
            objects[each.get("image_id")].append(each)
        return [self._read_image(image, objects.get(image.get("id"), [])) for image in document["images"]]

    def has_objects(self, info: Sample) -> bool:
        """Tell whether the file lists an object of our classes in the image (even one that is left out)."""
        return bool(info.pop("has_annotations"))

    def filter_data(self) -> list[Sample]:
        """Leave out small and empty images as `filter_cfg` says."""
        kept = super().filter_data()
        for each in kept:
            each.pop("has_annotations", None)
        return kept

    def _read_image(self, image: dict[str, Any], annotations: list[dict[str, Any]]) -> Sample:
        try:
            name, width, height = image["file_name"], int(image["width"]), int(image["height"])
            info: Sample = {"img_id": image["id"]}
        except (KeyError, TypeError, ValueError) as err:
            raise bad_annotations(
                self.ann_file,
                f"image {image.get('id', image)} lacks {err}",
                "an image has id, file_name, width, height",
            ) from err
        info["img_path"] = fileio.join(self.data_prefix.get("img", ""), name)
        info["seg_map_path"] = None
        if self.data_prefix.get("seg"):
            stem = name.rpartition(".")[0]
            info["seg_map_path"] = fileio.join(self.data_prefix["seg"], stem + self.seg_map_suffix)
        info["height"], info["width"] = height, width
        found = (self._read_object(each, width, height) for each in annotations)
        info["instances"] = [each for each in found if each is not None]
        info["has_annotations"] = any(each.get("category_id") in self.cat2label for each in annotations)
        return self.describe_classes(info)

    def _read_object(self, annotation: dict[str, Any], width: int, height: int) -> dict[str, Any] | None:
        label = self.cat2label.get(annotation.get("category_id"))
        if label is None or annotation.get("ignore", False):
            return None
        try:
            x, y, w, h = (float(each) for each in annotation["bbox"])
            area = float(annotation.get("area", w * h))
        except (KeyError, TypeError, ValueError) as err:
            raise bad_annotations(
                self.ann_file,
                f"annotation {annotation.get('id')} has no usable `bbox`",
                f"bbox is [x, y, width, height], found {annotation.get('bbox')!r:.80}",
            ) from err
        inside_w = max(0, min(x + w, width) - max(x, 0))
        inside_h = max(0, min(y + h, height) - max(y, 0))
        if inside_w * inside_h == 0 or area <= 0 or w < 1 or h < 1:
            return None
        found = {
            "bbox": [x, y, x + w, y + h],
            "bbox_label": label,
            "ignore_flag": int(bool(annotation.get("iscrowd", 0))),
        }
        if annotation.get("segmentation"):
            found["mask"] = annotation["segmentation"]
        return found


def load_coco(path: str, backend_args: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the document of a COCO file. Raises MimctlError[missing-file] or [bad-annotations]."""
    document = load(path, backend_args=backend_args)
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise bad_annotations(path, "is not in COCO format", "it needs the lists images, annotations and categories")
    return document
