// Rotated boxes on the device as the numbers that rotated_boxes.h works with.
#pragma once

#include "../rotated_boxes.h"
#include "launch.h"

namespace mimctl_ops {

static __global__ void prepare_rotated(int64_t count, const double* __restrict__ boxes, RotatedBox* __restrict__ out) {
  MIMCTL_FOR_EACH(i, count) {
    const double* box = boxes + 5 * i;
    out[i] = rotated_box(box[0], box[1], box[2], box[3], box[4]);
  }
}

// The boxes of a tensor (N, 5) in any floating type and layout; the numbers live as long as this object.
class RotatedBoxes {
 public:
  RotatedBoxes(const char* op, const Tensor& boxes, cudaStream_t stream)
      : held_(torch::stable::new_empty(boxes, {boxes.size(0), 8}, ScalarType::Double)), count_(boxes.size(0)) {
    static_assert(sizeof(RotatedBox) == 8 * sizeof(double));
    const Tensor given = as_contiguous(boxes, ScalarType::Double);
    if (count_ > 0) {
      prepare_rotated<<<num_blocks(count_), kThreads, 0, stream>>>(
          count_, given.const_data_ptr<double>(), reinterpret_cast<RotatedBox*>(held_.mutable_data_ptr<double>()));
      check_launch(op);
    }
  }

  const RotatedBox* data() const { return reinterpret_cast<const RotatedBox*>(held_.const_data_ptr<double>()); }
  int64_t count() const { return count_; }

 private:
  Tensor held_;
  int64_t count_;
};

}  // namespace mimctl_ops
