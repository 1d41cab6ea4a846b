// Declares the operators of this library; register.cpp binds them to their schemas.
#pragma once

#include <torch/csrc/stable/tensor.h>

namespace mimctl_ops {

torch::stable::Tensor nms_cpu(const torch::stable::Tensor& boxes, const torch::stable::Tensor& scores,
                              double iou_threshold);

}  // namespace mimctl_ops
