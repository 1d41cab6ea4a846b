// Overlap of rotated boxes on the CPU: of all pairs, or row by row. The formula is in rotated_boxes.h.
#include <torch/csrc/stable/library.h>

#include <algorithm>

#include "../scored_boxes.h"
#include "rotated_columns.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "box_iou_rotated";
constexpr int64_t kGrain = 4096;  // pairs a thread takes at least

// Write the overlaps of box `a` with all boxes of `columns`: zeros, and the ratios of those near enough.
template <typename T>
void write_row(const RotatedBox& a, const RotatedColumns& columns, bool of_first, Neighbours& near, T* out) {
  near.find(a, columns, 0, columns.count);
  near.measure(a, columns, of_first);
  std::fill(out, out + columns.count, T{0});
  for (int64_t i = 0; i < near.count; ++i) {
    out[near.index[i]] = static_cast<T>(near.ratio[i]);
  }
}

template <typename T>
void all_pairs(const RotatedColumns& first, const RotatedColumns& second, bool of_first, T* out) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, second.count));
  torch::stable::parallel_for(0, first.count, grain, [&](int64_t begin, int64_t end) {
    Neighbours near(second.count);
    for (int64_t i = begin; i < end; ++i) {
      write_row(first.box(i), second, of_first, near, out + i * second.count);
    }
  });
}

template <typename T>
void row_by_row(const RotatedColumns& first, const RotatedColumns& second, bool of_first, T* out) {
  torch::stable::parallel_for(0, first.count, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const RotatedBox a = first.box(i), b = second.box(i);
      out[i] = static_cast<T>(may_overlap(a, b) ? rotated_overlap(a, b, of_first) : 0.0);
    }
  });
}

Tensor box_iou_rotated(const Tensor& bboxes1, const Tensor& bboxes2, bool of_first, bool aligned) {
  check_rotated_boxes(kOp, "bboxes1", bboxes1);
  check_rotated_boxes(kOp, "bboxes2", bboxes2);
  if (aligned) {
    check_size(kOp, "bboxes2", bboxes2, 0, bboxes1.size(0));
  }
  const RotatedColumns first(bboxes1), second(bboxes2);
  const auto type = compute_type(bboxes1.scalar_type());
  const auto sizes = aligned ? std::vector<int64_t>{first.count} : std::vector<int64_t>{first.count, second.count};
  Tensor result = torch::stable::new_empty(bboxes1, sizes, type);
  with_compute_type(type, [&](auto zero) {
    auto* out = result.mutable_data_ptr<decltype(zero)>();
    aligned ? row_by_row(first, second, of_first, out) : all_pairs(first, second, of_first, out);
  });
  return as_contiguous(result, bboxes1.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) { library.impl("box_iou_rotated", TORCH_BOX(&box_iou_rotated)); }

}  // namespace mimctl_ops
