// Greedy non-maximum suppression of rotated boxes on CUDA.
#include <torch/csrc/stable/library.h>

#include "../scored_boxes.h"
#include "rotated_columns.h"
#include "suppression.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "nms_rotated";

// Boxes and labels are in order of falling score.
struct Suppresses {
  const RotatedBox* boxes;
  const int64_t* labels;  // or null
  double threshold;

  __device__ bool operator()(int64_t i, int64_t j) const {
    return (labels == nullptr || labels[i] == labels[j]) && may_overlap(boxes[i], boxes[j]) &&
           rotated_overlap(boxes[i], boxes[j], false) > threshold;
  }
};

Tensor nms_rotated(const Tensor& dets, const Tensor& scores, double iou_threshold,
                   const std::optional<Tensor>& labels) {
  check_scored_boxes(kOp, "dets", dets, 5, scores, labels);
  const OnDeviceOf device(dets);
  const Tensor order = sort_falling(as_contiguous(scores, compute_type(scores.scalar_type()))).second;
  const RotatedBoxes sorted(kOp, select_rows(dets, order), device.stream);
  const Labels sorted_labels(labels ? std::optional<Tensor>(select_rows(*labels, order)) : std::nullopt);
  const Suppresses suppresses{sorted.data(), sorted_labels.data(), std::max(iou_threshold, 0.0)};
  return suppress(kOp, order, suppresses, device.stream);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) { library.impl("nms_rotated", TORCH_BOX(&nms_rotated)); }

}  // namespace mimctl_ops
