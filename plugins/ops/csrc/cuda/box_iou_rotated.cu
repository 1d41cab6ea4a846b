// Overlap of rotated boxes on CUDA: of all pairs, or row by row. The formula is in rotated_boxes.h.
#include <torch/csrc/stable/library.h>

#include "../scored_boxes.h"
#include "rotated_columns.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "box_iou_rotated";

// Writes the overlap of box i of `first` with box i of `second`, or with all `num_second` boxes of it.
template <typename T>
__global__ void kernel(int64_t count, int64_t num_second, bool aligned, const RotatedBox* __restrict__ first,
                       const RotatedBox* __restrict__ second, bool of_first, T* __restrict__ out) {
  MIMCTL_FOR_EACH(i, count) {
    const RotatedBox a = first[aligned ? i : i / num_second], b = second[aligned ? i : i % num_second];
    out[i] = static_cast<T>(may_overlap(a, b) ? rotated_overlap(a, b, of_first) : 0.0);
  }
}

Tensor box_iou_rotated(const Tensor& bboxes1, const Tensor& bboxes2, bool of_first, bool aligned) {
  check_rotated_boxes(kOp, "bboxes1", bboxes1);
  check_rotated_boxes(kOp, "bboxes2", bboxes2);
  check_same_device(kOp, "bboxes2", bboxes2, bboxes1);
  if (aligned) {
    check_size(kOp, "bboxes2", bboxes2, 0, bboxes1.size(0));
  }
  const OnDeviceOf device(bboxes1);
  const RotatedBoxes first(kOp, bboxes1, device.stream), second(kOp, bboxes2, device.stream);
  const auto type = compute_type(bboxes1.scalar_type());
  const int64_t rows = first.count(), columns = second.count();
  const auto sizes = aligned ? std::vector<int64_t>{rows} : std::vector<int64_t>{rows, columns};
  Tensor result = torch::stable::new_empty(bboxes1, sizes, type);
  const int64_t count = result.numel();
  if (count > 0) {
    with_compute_type(type, [&](auto zero) {
      using T = decltype(zero);
      kernel<T><<<num_blocks(count), kThreads, 0, device.stream>>>(count, columns, aligned, first.data(), second.data(),
                                                                   of_first, result.mutable_data_ptr<T>());
    });
    check_launch(kOp);
  }
  return as_contiguous(result, bboxes1.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) { library.impl("box_iou_rotated", TORCH_BOX(&box_iou_rotated)); }

}  // namespace mimctl_ops
