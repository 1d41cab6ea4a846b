"""CocoMetric: average precision and recall as COCO defines them, computed by faster-coco-eval."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.files import fileio
from mimctl.engine.registry import METRICS
from mimctl.engine.reporting.log import TOLD_BY_EVENT, get_logger
from mimctl.errors import ConfigError, MimctlError
from mimctl_det.datasets.coco import load_coco
from mimctl_det.evaluation.coco_figures import DEFAULT_ITEMS, class_figures, figures
from mimctl_det.evaluation.records import has_truth, prediction_record, truth_record

KINDS = ("bbox", "segm", "proposal")


@METRICS.register_module()
class CocoMetric(BaseMetric):
    """COCO's figures of boxes (`bbox`), masks (`segm`) or class-blind proposals (`proposal`).

    The truth is `ann_file`; without it, the objects of the dataset itself, whatever its format. Only the images that
    were evaluated count. Figures are shares (0..1; -1 where no object is of that size): `bbox_mAP`, `bbox_mAP_50`,
    `bbox_mAP_75`, `bbox_mAP_s`, `_m`, `_l`; with `classwise` also `<class>_precision`; for proposals `AR@100` … .
    `iou_thrs` defaults to 0.50:0.05:0.95. `format_only` writes `<outfile_prefix>.<kind>.json` and computes nothing.
    Where nothing at all was predicted every figure is 0.
    """

    default_prefix = "coco"

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = "bbox",
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        sort_categories: bool = False,
        use_mp_eval: bool = False,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.metrics = [metric] if isinstance(metric, str) else list(metric)
        unknown = [each for each in self.metrics if each not in KINDS]
        if unknown:
            raise ConfigError(
                f"unknown metric `{unknown[0]}`", code="bad-argument", causes=[f"known: {', '.join(KINDS)}"]
            )
        if format_only and outfile_prefix is None:
            raise ConfigError("format_only needs `outfile_prefix`", code="missing-argument")
        self.ann_file = ann_file
        self.backend_args = backend_args or file_client_args
        self.classwise = classwise
        self.proposal_nums = tuple(proposal_nums)
        self.iou_thrs = [iou_thrs] if isinstance(iou_thrs, int | float) else iou_thrs
        self.metric_items = metric_items
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.sort_categories = sort_categories

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep predictions, and the truth where there is no annotation file."""
        for sample in data_samples:
            record = prediction_record(sample)
            if self.ann_file is None and not self.format_only:
                if not has_truth(sample):
                    raise ConfigError(
                        "CocoMetric has neither `ann_file` nor annotated samples",
                        code="missing-argument",
                        hints=["give the metric `ann_file`, or load annotations in the test pipeline"],
                    )
                record["truth"] = truth_record(sample)
            self.results.append(record)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Return the figures; with `format_only`, write the predictions and return {}."""
        classes = tuple((self.dataset_meta or {}).get("classes", ()))
        document = self._truth(results, classes)
        named = {each["name"]: each["id"] for each in document["categories"]}
        cat_ids = [named.get(name) for name in classes]
        if self.format_only or self.outfile_prefix is not None:
            self._write(results, cat_ids)
        if self.format_only:
            return {}
        image_ids = self._number_images(document, results)
        found: dict[str, Any] = {}
        for kind in self.metrics:
            found.update(self._evaluate(kind, document, results, classes, cat_ids, image_ids))
        return found

    def _truth(self, results: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
        if self.ann_file is not None:
            document = load_coco(self.ann_file, self.backend_args)
            categories = document.get("categories", [])
            if self.sort_categories:
                categories = sorted(categories, key=lambda each: each["id"])
            return {**document, "categories": categories, "annotations": document.get("annotations", [])}
        return truth_document(results, classes)

    def _number_images(self, document: dict[str, Any], results: Sequence[Mapping[str, Any]]) -> dict[Any, int]:
        """Keep only the evaluated images in the document; return a whole number for each image id."""
        known = {image["id"] for image in document["images"]}
        missing = [record["img_id"] for record in results if record["img_id"] not in known]
        if missing:
            raise MimctlError(
                f"image {missing[0]!r} was evaluated but is not in {self.ann_file}",
                code="annotation-mismatch",
                causes=[f"{len(missing)} of {len(results)} images are missing there"],
                hints=["the evaluator's ann_file must be the one of the dataset it evaluates"],
            )
        numbers = {each: number for number, each in enumerate((record["img_id"] for record in results), start=1)}
        document["images"] = [
            {**image, "id": numbers[image["id"]]} for image in document["images"] if image["id"] in numbers
        ]
        document["annotations"] = [
            {**each, "image_id": numbers[each["image_id"]], "id": number}
            for number, each in enumerate(document["annotations"], start=1)
            if each["image_id"] in numbers
        ]
        return numbers

    def _evaluate(
        self,
        kind: str,
        document: dict[str, Any],
        results: Sequence[Mapping[str, Any]],
        classes: Sequence[str],
        cat_ids: Sequence[Any],
        image_ids: Mapping[Any, int],
    ) -> dict[str, Any]:
        from faster_coco_eval import COCO, COCOeval_faster

        items = tuple(self.metric_items or DEFAULT_ITEMS[kind])
        rows = coco_rows(results, cat_ids, kind, image_ids)
        if not rows:
            get_logger().warning("nothing was predicted in %d images: every %s figure is 0", len(results), kind)
            return {name if kind == "proposal" else f"{kind}_{name}": 0.0 for name in items}
        truth = COCO(document)
        evaluation = COCOeval_faster(
            truth, truth.loadRes(rows), "segm" if kind == "segm" else "bbox", print_function=get_logger().debug
        )
        evaluation.params.catIds = [each for each in cat_ids if each is not None]
        evaluation.params.imgIds = list(image_ids.values())
        evaluation.params.maxDets = list(self.proposal_nums)
        evaluation.params.useCats = int(kind != "proposal")
        if self.iou_thrs is not None:
            evaluation.params.iouThrs = np.asarray(self.iou_thrs, np.float64)
        evaluation.evaluate()
        evaluation.accumulate()
        measured = figures(evaluation.eval, evaluation.params, items)
        text = "  ".join(f"{name} {value:.3f}" for name, value in measured.items())
        get_logger().info("%s: %s", kind, text, extra=TOLD_BY_EVENT)
        found = {name if kind == "proposal" else f"{kind}_{name}": value for name, value in measured.items()}
        if self.classwise and kind != "proposal":
            by_id = {each: name for each, name in zip(cat_ids, classes, strict=True) if each is not None}
            found.update(class_figures(evaluation.eval, evaluation.params, by_id))
        return found

    def _write(self, results: Sequence[Mapping[str, Any]], cat_ids: Sequence[Any]) -> None:
        for kind in self.metrics:
            path = f"{self.outfile_prefix}.{kind}.json"
            fileio.put_text(json.dumps(coco_rows(results, cat_ids, kind, None)), path)
            get_logger().info("%s predictions written to %s", kind, path)


def coco_rows(
    results: Sequence[Mapping[str, Any]], cat_ids: Sequence[Any], kind: str, image_ids: Mapping[Any, int] | None
) -> list[dict[str, Any]]:
    """Return predictions in COCO's result format; those of a class that the truth does not know are left out."""
    rows: list[dict[str, Any]] = []
    blind = next((each for each in cat_ids if each is not None), None)  # proposals have no class: any known id will do
    for record in results:
        image_id = image_ids[record["img_id"]] if image_ids is not None else record["img_id"]
        boxes = record["boxes"].copy()
        boxes[:, 2:] -= boxes[:, :2]
        scores = record.get("mask_scores", record["scores"]) if kind == "segm" else record["scores"]
        for number, (box, score, label) in enumerate(
            zip(boxes.tolist(), scores.tolist(), record["labels"].tolist(), strict=True)
        ):
            category = cat_ids[label] if label < len(cat_ids) else None
            if category is None and kind == "proposal":
                category = blind
            if category is None:
                continue
            row = {"image_id": image_id, "category_id": category, "score": score}
            if kind == "segm":
                row["segmentation"] = record["masks"][number]  # no box: COCO would take its area
            else:
                row["bbox"] = box
            rows.append(row)
    return rows


def truth_document(results: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """Return the truth that came with the samples as a COCO document; ignored objects count as crowds."""
    images, annotations = [], []
    for record in results:
        height, width = record["shape"]
        images.append({"id": record["img_id"], "height": height, "width": width, "file_name": str(record["img_id"])})
        annotations += [_annotation(record["img_id"], each, height, width) for each in record.get("truth", ())]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _annotation(image_id: Any, instance: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    from faster_coco_eval.core import mask as coder

    x1, y1, x2, y2 = (float(each) for each in instance["bbox"])
    found = {
        "image_id": image_id,
        "category_id": int(instance["bbox_label"]),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": int(instance.get("ignore_flag", 0)),
    }
    mask = instance.get("mask")
    if mask is not None:
        codes = coder.frPyObjects(mask, height, width)
        code = coder.merge(codes) if isinstance(codes, list) else codes
        found["segmentation"], found["area"] = code, float(coder.area(code))
    return found
