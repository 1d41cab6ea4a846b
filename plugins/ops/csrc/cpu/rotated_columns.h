// Rotated boxes as a structure of arrays, and the vectorised search for those that one box overlaps.
#pragma once

#include <cstdint>
#include <memory>

#include "../checks.h"
#include "../rotated_boxes.h"
#include "clones.h"

namespace mimctl_ops {

// The numbers of rotated boxes that rotated_boxes.h works with.
struct RotatedColumns {
  int64_t count;
  std::unique_ptr<double[]> storage;
  double *x, *y, *half_w, *half_h, *cos, *sin, *reach_x, *reach_y;

  explicit RotatedColumns(int64_t size) : count(size), storage(new double[8 * size]) {
    double** const fields[] = {&x, &y, &half_w, &half_h, &cos, &sin, &reach_x, &reach_y};
    for (int64_t i = 0; i < 8; ++i) {
      *fields[i] = storage.get() + i * size;
    }
  }

  // Boxes (N, 5) in any floating type and layout.
  explicit RotatedColumns(const Tensor& boxes) : RotatedColumns(boxes.size(0)) {
    const Tensor data = as_contiguous(boxes, ScalarType::Double);
    const double* box = data.const_data_ptr<double>();
    for (int64_t i = 0; i < count; ++i, box += 5) {
      set(i, rotated_box(box[0], box[1], box[2], box[3], box[4]));
    }
  }

  void set(int64_t i, const RotatedBox& box) {
    x[i] = box.x;
    y[i] = box.y;
    half_w[i] = box.half_w;
    half_h[i] = box.half_h;
    cos[i] = box.cos;
    sin[i] = box.sin;
    reach_x[i] = box.reach_x;
    reach_y[i] = box.reach_y;
  }

  RotatedBox box(int64_t i) const {
    return {x[i], y[i], half_w[i], half_h[i], cos[i], sin[i], reach_x[i], reach_y[i]};
  }
};

// The boxes of some columns that one box may overlap, and how much it does.
struct Neighbours {
  std::unique_ptr<int64_t[]> index;
  std::unique_ptr<double[]> ratio;
  RotatedColumns boxes;
  int64_t count = 0;

  explicit Neighbours(int64_t most) : index(new int64_t[most]), ratio(new double[most]), boxes(most) {}

  // Fill `index` with the boxes of begin..end whose upright boxes meet that of `a`.
  void find(const RotatedBox& a, const RotatedColumns& columns, int64_t begin, int64_t end);

  // Fill `ratio` for the boxes of `index`.
  void measure(const RotatedBox& a, const RotatedColumns& columns, bool of_first);
};

}  // namespace mimctl_ops
