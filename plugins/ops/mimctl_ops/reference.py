"""Pure-PyTorch twins of the operators: the same arguments and results, on any device, differentiated by autograd."""

from mimctl_ops.ops.nms import nms_reference as nms
from mimctl_ops.ops.sigmoid_focal_loss import sigmoid_focal_loss_reference as sigmoid_focal_loss

__all__ = ["nms", "sigmoid_focal_loss"]
