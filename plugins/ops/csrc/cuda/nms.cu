// Greedy non-maximum suppression on CUDA.
#include <torch/csrc/stable/library.h>

#include "../scored_boxes.h"
#include "suppression.h"
#include "upright_boxes.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "nms";

// Boxes and labels are those of the caller; `order` leads from a place in falling order to a row.
template <typename T>
struct Suppresses {
  const T* boxes;
  const int64_t* labels;  // or null
  const int64_t* order;
  T threshold;

  __device__ bool operator()(int64_t i, int64_t j) const {
    const int64_t a = order[i], b = order[j];
    return (labels == nullptr || labels[a] == labels[b]) && upright_iou(boxes + 4 * a, boxes + 4 * b) > threshold;
  }
};

Tensor nms_cuda(const Tensor& boxes, const Tensor& scores, double iou_threshold, const std::optional<Tensor>& labels) {
  check_scored_boxes(kOp, "boxes", boxes, 4, scores, labels);
  const OnDeviceOf device(boxes);
  const auto type = compute_type(boxes.scalar_type());
  const Tensor box_data = as_contiguous(boxes, type);
  const Tensor order = sort_falling(as_contiguous(scores, compute_type(scores.scalar_type()))).second;
  const Labels label_data(labels);
  return with_compute_type(type, [&](auto zero) {
    using T = decltype(zero);
    const Suppresses<T> suppresses{box_data.const_data_ptr<T>(), label_data.data(), order.const_data_ptr<int64_t>(),
                                   static_cast<T>(iou_threshold)};
    return suppress(kOp, order, suppresses, device.stream);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) { library.impl("nms", TORCH_BOX(&nms_cuda)); }

}  // namespace mimctl_ops
