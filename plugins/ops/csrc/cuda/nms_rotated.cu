// Greedy non-maximum suppression of rotated boxes on CUDA.
#include <torch/csrc/stable/library.h>

#include "../scored_boxes.h"
#include "rotated_columns.h"
#include "suppression.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "nms_rotated";

// Boxes and labels are in the caller's order; `order` leads from a place in falling order to a row.
struct Suppresses {
  const RotatedBox* boxes;
  const int64_t* labels;  // or null
  const int64_t* order;
  double threshold;

  __device__ bool operator()(int64_t i, int64_t j) const {
    const int64_t a = order[i], b = order[j];
    return (labels == nullptr || labels[a] == labels[b]) && overlap(boxes[a], boxes[b]) > threshold;
  }

  static __device__ double overlap(const RotatedBox& a, const RotatedBox& b) {
    return may_overlap(a, b) ? rotated_overlap(a, b, false) : 0.0;
  }
};

Tensor nms_rotated(const Tensor& dets, const Tensor& scores, double iou_threshold,
                   const std::optional<Tensor>& labels) {
  check_scored_boxes(kOp, "dets", dets, 5, scores, labels);
  const OnDeviceOf device(dets);
  const RotatedBoxes boxes(kOp, dets, device.stream);
  const Tensor order = sort_falling(as_contiguous(scores, compute_type(scores.scalar_type()))).second;
  const Labels label_data(labels);
  const Suppresses suppresses{boxes.data(), label_data.data(), order.const_data_ptr<int64_t>(),
                              std::max(iou_threshold, 0.0)};  // boxes apart never suppress each other
  return suppress(kOp, order, suppresses, device.stream);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) { library.impl("nms_rotated", TORCH_BOX(&nms_rotated)); }

}  // namespace mimctl_ops
