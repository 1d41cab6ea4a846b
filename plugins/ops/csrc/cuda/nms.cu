// Greedy non-maximum suppression on CUDA.
#include <torch/csrc/stable/library.h>

#include "../scored_boxes.h"
#include "suppression.h"
#include "upright_boxes.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "nms";

// Boxes and labels are in order of falling score.
template <typename T>
struct Suppresses {
  const T* boxes;
  const int64_t* labels;  // or null
  T threshold;

  __device__ bool operator()(int64_t i, int64_t j) const {
    return (labels == nullptr || labels[i] == labels[j]) && upright_iou(boxes + 4 * i, boxes + 4 * j) > threshold;
  }
};

Tensor nms_cuda(const Tensor& boxes, const Tensor& scores, double iou_threshold, const std::optional<Tensor>& labels) {
  check_scored_boxes(kOp, "boxes", boxes, 4, scores, labels);
  const OnDeviceOf device(boxes);
  const auto type = compute_type(boxes.scalar_type());
  const Tensor order = sort_falling(as_contiguous(scores, compute_type(scores.scalar_type()))).second;
  const Tensor sorted = select_rows(as_contiguous(boxes, type), order);
  const Labels sorted_labels(labels ? std::optional<Tensor>(select_rows(*labels, order)) : std::nullopt);
  return with_compute_type(type, [&](auto zero) {
    using T = decltype(zero);
    const Suppresses<T> suppresses{sorted.const_data_ptr<T>(), sorted_labels.data(), static_cast<T>(iou_threshold)};
    return suppress(kOp, order, suppresses, device.stream);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) { library.impl("nms", TORCH_BOX(&nms_cuda)); }

}  // namespace mimctl_ops
