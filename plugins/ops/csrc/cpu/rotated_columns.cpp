// The two inner loops over rotated boxes: a quick test of all, and the overlap of those that pass it.
#include "rotated_columns.h"

namespace mimctl_ops {
namespace {

MIMCTL_CLONES void overlap_all(const RotatedBox& a, int64_t count, const double* __restrict__ x,
                               const double* __restrict__ y, const double* __restrict__ half_w,
                               const double* __restrict__ half_h, const double* __restrict__ cosine,
                               const double* __restrict__ sine, bool of_first, double* __restrict__ ratio) {
  const double area = 4 * a.half_w * a.half_h;
  for (int64_t i = 0; i < count; ++i) {
    const double common = common_area(x[i] - a.x, y[i] - a.y, a.half_w, a.half_h, a.cos, a.sin, half_w[i], half_h[i],
                                      cosine[i], sine[i]);
    ratio[i] = overlap_ratio(common, area, 4 * half_w[i] * half_h[i], of_first);
  }
}

}  // namespace

void Neighbours::find(const RotatedBox& a, const RotatedColumns& columns, int64_t begin, int64_t end) {
  count = 0;
  for (int64_t i = begin; i < end; ++i) {
    index[count] = i;
    count += may_overlap(columns.x[i] - a.x, columns.y[i] - a.y, columns.reach_x[i] + a.reach_x,
                         columns.reach_y[i] + a.reach_y);
  }
}

void Neighbours::measure(const RotatedBox& a, const RotatedColumns& columns, bool of_first) {
  for (int64_t i = 0; i < count; ++i) {
    boxes.set(i, columns.box(index[i]));
  }
  overlap_all(a, count, boxes.x, boxes.y, boxes.half_w, boxes.half_h, boxes.cos, boxes.sin, of_first, ratio.get());
}

}  // namespace mimctl_ops
