// Binds the operators to their schemas through the LibTorch stable ABI; autograd and fake kernels live in Python.
#include <torch/csrc/stable/library.h>

#include "nms.h"

STABLE_TORCH_LIBRARY(mimctl_ops, library) {
  library.def("nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) {
  library.impl("nms", TORCH_BOX(&mimctl_ops::nms_cpu));
}
