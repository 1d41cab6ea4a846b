// RoIAlign of rotated boxes on CUDA, forward and backward.
#include <torch/csrc/stable/library.h>

#include "roi_pooling.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "roi_align_rotated";

Tensor forward(const Tensor& input, const Tensor& rois, int64_t out_h, int64_t out_w, double spatial_scale,
               int64_t sampling_ratio, bool aligned, bool clockwise) {
  const RoiPooling pooling =
      check_roi_pooling(kOp, input, rois, 6, out_h, out_w, spatial_scale, sampling_ratio, aligned);
  return pool_rois<false>(kOp, pooling, Rotated{clockwise}, input, rois);
}

Tensor backward(const Tensor& grad, const Tensor& input, const Tensor& rois, int64_t out_h, int64_t out_w,
                double spatial_scale, int64_t sampling_ratio, bool aligned, bool clockwise, int64_t) {
  const RoiPooling pooling =
      check_roi_pooling(kOp, input, rois, 6, out_h, out_w, spatial_scale, sampling_ratio, aligned);
  check_roi_grad(kOp, grad, pooling, input);
  return spread_rois<false>(kOp, pooling, Rotated{clockwise}, grad, input, rois);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) {
  library.impl("roi_align_rotated", TORCH_BOX(&forward));
  library.impl("roi_align_rotated_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
