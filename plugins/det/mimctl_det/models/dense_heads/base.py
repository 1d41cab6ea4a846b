"""What heads without proposals share: from maps to boxes, thresholds, suppression."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mimctl.engine.model import BaseModule
from mimctl.engine.structures import InstanceData
from mimctl.vision.ops import batched_nms
from mimctl.vision.structures import DetDataSample, scale_boxes

Metas = Sequence[Mapping[str, Any]]


class BaseDenseHead(BaseModule):
    """A head whose `forward` returns lists of maps; subclasses say what they mean in `loss_by_feat`.

    Predicting needs `prior_generator`, `bbox_coder`, `cls_out_channels` and `test_cfg`: `score_thr`, `nms_pre`, `nms`,
    `max_per_img`, `min_bbox_size`.
    """

    prior_generator: Any
    bbox_coder: Any
    cls_out_channels: int
    use_sigmoid_cls: bool
    test_cfg: Mapping[str, Any] | None

    @abstractmethod
    def loss_by_feat(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the losses from the maps of `forward`, the truths, the metas and the ignored truths of a batch."""

    def loss(self, x: tuple[Tensor, ...], batch_data_samples: list[DetDataSample]) -> dict[str, Any]:
        """Return the losses of a batch of feature maps."""
        truths = [sample.gt_instances for sample in batch_data_samples]
        ignored = [sample.get("ignored_instances") for sample in batch_data_samples]
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.loss_by_feat(*self(x), truths, metas, ignored)

    def predict(
        self, x: tuple[Tensor, ...], batch_data_samples: list[DetDataSample], rescale: bool = False
    ) -> list[InstanceData]:
        """Return the predictions for a batch of feature maps."""
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*self(x), batch_img_metas=metas, rescale=rescale)

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        *,
        batch_img_metas: Metas,
        cfg: Mapping[str, Any] | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Return for each image `bboxes` (K, 4), `scores` (K,), `labels` (K,), best first.

        `cls_scores` are logits (B, C, H, W), `bbox_preds` (B, 4, H, W) in the coder's terms, one of each a map.
        """
        cls_scores = [full_precision(each.detach()) for each in cls_scores]
        bbox_preds = [full_precision(each.detach()) for each in bbox_preds]
        priors = self.prior_generator.grid_priors(
            [each.shape[-2:] for each in cls_scores], dtype=cls_scores[0].dtype, device=cls_scores[0].device
        )
        return [
            self._predict_single(
                [each[number] for each in cls_scores],
                [each[number] for each in bbox_preds],
                priors,
                meta,
                cfg or self.test_cfg or {},
                rescale=rescale,
                with_nms=with_nms,
            )
            for number, meta in enumerate(batch_img_metas)
        ]

    def _predict_single(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        priors: list[Tensor],
        meta: Mapping[str, Any],
        cfg: Mapping[str, Any],
        *,
        rescale: bool,
        with_nms: bool,
    ) -> InstanceData:
        kept = []
        for logits, boxes, points in zip(cls_scores, bbox_preds, priors, strict=True):
            scores = self._scores(logits.permute(1, 2, 0).reshape(-1, self.cls_out_channels))
            best, labels, rows = select_scores(scores, cfg.get("score_thr", 0), cfg.get("nms_pre", -1))
            kept.append(
                (best, labels, boxes.permute(1, 2, 0).reshape(-1, self.bbox_coder.encode_size)[rows], points[rows])
            )
        scores, labels, boxes, points = (torch.cat(each) for each in zip(*kept, strict=True))
        results = InstanceData(
            bboxes=self.bbox_coder.decode(points, boxes, max_shape=meta["img_shape"]), scores=scores, labels=labels
        )
        return postprocess(results, cfg, meta, rescale=rescale, with_nms=with_nms)

    def _scores(self, logits: Tensor) -> Tensor:
        # Softmax heads have their background as the last class.
        return logits.sigmoid() if self.use_sigmoid_cls else logits.softmax(-1)[:, :-1]


def full_precision(tensor: Tensor) -> Tensor:
    """Return half-precision tensors as float32 (they cannot tell pixels of a large image apart), others as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def select_scores(scores: Tensor, score_thr: float, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the scores (N, C) above a threshold, the `most` best (-1: all), best first: scores, classes, rows."""
    places = (scores > score_thr).nonzero()
    rows, labels = places.unbind(dim=1)
    best, order = scores[rows, labels].sort(descending=True, stable=True)
    if 0 < most < len(order):
        best, order = best[:most], order[:most]
    return best, labels[order], rows[order]


def postprocess(
    results: InstanceData, cfg: Mapping[str, Any], meta: Mapping[str, Any], *, rescale: bool, with_nms: bool
) -> InstanceData:
    """Return the results in original coordinates where `rescale`, without small boxes, after suppression."""
    if rescale:
        factor_x, factor_y = meta["scale_factor"][:2]
        results.bboxes = scale_boxes(results.bboxes, (1 / factor_x, 1 / factor_y))
    if cfg.get("min_bbox_size", -1) >= 0:
        sizes = results.bboxes[:, 2:] - results.bboxes[:, :2]
        large = (sizes > cfg["min_bbox_size"]).all(dim=1)
        if not bool(large.all()):
            results = results[large]
    if not with_nms or len(results) == 0:
        return results
    detections, keep = batched_nms(results.bboxes, results.scores, results.labels, cfg.get("nms"))
    results = results[keep]
    results.scores = detections[:, -1]
    most = cfg.get("max_per_img", -1)
    return results[:most] if most >= 0 else results
