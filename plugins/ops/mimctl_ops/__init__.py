"""Vision operators for PyTorch with the names and arguments the field knows: compiled here, pure PyTorch elsewhere.

Importing this package registers `torch.ops.mimctl_ops.*`. `status()` says which tier serves and what it was compiled
with; `reference` holds a pure-PyTorch twin of every operator.
"""

from mimctl_ops import reference
from mimctl_ops.library import OpsLoadError, Status, status
from mimctl_ops.ops.batched_nms import batched_nms
from mimctl_ops.ops.box_iou_rotated import box_iou_rotated
from mimctl_ops.ops.deform_conv2d import (
    DeformConv2d,
    DeformConv2dPack,
    ModulatedDeformConv2d,
    ModulatedDeformConv2dPack,
    deform_conv2d,
    modulated_deform_conv2d,
)
from mimctl_ops.ops.ms_deform_attn import (
    MultiScaleDeformableAttention,
    MultiScaleDeformableAttnFunction,
    ms_deform_attn,
    multi_scale_deformable_attn_pytorch,
)
from mimctl_ops.ops.nms import nms
from mimctl_ops.ops.nms_rotated import nms_rotated
from mimctl_ops.ops.point_sample import SimpleRoIAlign, point_sample, rel_roi_point_to_rel_img_point
from mimctl_ops.ops.roi_align import RoIAlign, roi_align
from mimctl_ops.ops.roi_align_rotated import RoIAlignRotated, roi_align_rotated
from mimctl_ops.ops.sigmoid_focal_loss import SigmoidFocalLoss, sigmoid_focal_loss
from mimctl_ops.ops.soft_nms import soft_nms
from mimctl_ops.registration import OpsTierWarning

__all__ = [
    "DeformConv2d",
    "DeformConv2dPack",
    "ModulatedDeformConv2d",
    "ModulatedDeformConv2dPack",
    "MultiScaleDeformableAttention",
    "MultiScaleDeformableAttnFunction",
    "OpsLoadError",
    "OpsTierWarning",
    "RoIAlign",
    "RoIAlignRotated",
    "SigmoidFocalLoss",
    "SimpleRoIAlign",
    "Status",
    "batched_nms",
    "box_iou_rotated",
    "deform_conv2d",
    "modulated_deform_conv2d",
    "ms_deform_attn",
    "multi_scale_deformable_attn_pytorch",
    "nms",
    "nms_rotated",
    "point_sample",
    "reference",
    "rel_roi_point_to_rel_img_point",
    "roi_align",
    "roi_align_rotated",
    "sigmoid_focal_loss",
    "soft_nms",
    "status",
]
