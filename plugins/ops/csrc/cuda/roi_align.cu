// RoIAlign on CUDA (He et al., "Mask R-CNN", 2017), forward and backward.
#include <torch/csrc/stable/library.h>

#include "roi_pooling.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "roi_align";

Tensor forward(const Tensor& input, const Tensor& rois, int64_t out_h, int64_t out_w, double spatial_scale,
               int64_t sampling_ratio, bool is_max, bool aligned) {
  const RoiPooling pooling =
      check_roi_pooling(kOp, input, rois, 5, out_h, out_w, spatial_scale, sampling_ratio, aligned);
  return is_max ? pool_rois<true>(kOp, pooling, Upright{}, input, rois)
                : pool_rois<false>(kOp, pooling, Upright{}, input, rois);
}

Tensor backward(const Tensor& grad, const Tensor& input, const Tensor& rois, int64_t out_h, int64_t out_w,
                double spatial_scale, int64_t sampling_ratio, bool is_max, bool aligned, int64_t) {
  const RoiPooling pooling =
      check_roi_pooling(kOp, input, rois, 5, out_h, out_w, spatial_scale, sampling_ratio, aligned);
  check_roi_grad(kOp, grad, pooling, input);
  return is_max ? spread_rois<true>(kOp, pooling, Upright{}, grad, input, rois)
                : spread_rois<false>(kOp, pooling, Upright{}, grad, input, rois);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) {
  library.impl("roi_align", TORCH_BOX(&forward));
  library.impl("roi_align_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
