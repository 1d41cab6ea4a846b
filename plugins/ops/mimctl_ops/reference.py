"""Pure-PyTorch twins of the operators: the same arguments and results, on any device, differentiated by autograd."""

from mimctl_ops.ops.batched_nms import batched_nms_reference as batched_nms
from mimctl_ops.ops.box_iou_rotated import box_iou_rotated_reference as box_iou_rotated
from mimctl_ops.ops.deform_conv2d import deform_conv2d_reference as deform_conv2d
from mimctl_ops.ops.deform_conv2d import modulated_deform_conv2d_reference as modulated_deform_conv2d
from mimctl_ops.ops.ms_deform_attn import ms_deform_attn_reference as ms_deform_attn
from mimctl_ops.ops.nms import nms_reference as nms
from mimctl_ops.ops.nms_rotated import nms_rotated_reference as nms_rotated
from mimctl_ops.ops.roi_align import roi_align_reference as roi_align
from mimctl_ops.ops.roi_align_rotated import roi_align_rotated_reference as roi_align_rotated
from mimctl_ops.ops.sigmoid_focal_loss import sigmoid_focal_loss_reference as sigmoid_focal_loss
from mimctl_ops.ops.soft_nms import soft_nms_reference as soft_nms

__all__ = [
    "batched_nms",
    "box_iou_rotated",
    "deform_conv2d",
    "modulated_deform_conv2d",
    "ms_deform_attn",
    "nms",
    "nms_rotated",
    "roi_align",
    "roi_align_rotated",
    "sigmoid_focal_loss",
    "soft_nms",
]
