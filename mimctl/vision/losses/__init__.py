"""Loss functions as modules with `reduction` and `loss_weight`."""

from mimctl.vision.losses.focal import QualityFocalLoss, quality_focal_loss
from mimctl.vision.losses.iou import CIoULoss, DIoULoss, GIoULoss, IoULoss, ciou_loss, diou_loss, giou_loss, iou_loss
from mimctl.vision.losses.reduce import weight_reduce_loss

__all__ = [
    "CIoULoss",
    "DIoULoss",
    "GIoULoss",
    "IoULoss",
    "QualityFocalLoss",
    "ciou_loss",
    "diou_loss",
    "giou_loss",
    "iou_loss",
    "quality_focal_loss",
    "weight_reduce_loss",
]
