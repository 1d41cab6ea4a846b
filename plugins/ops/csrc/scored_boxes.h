// Checks of boxes and of what suppressions have beside them: scores and, where classes are kept apart, labels.
#pragma once

#include <optional>

#include "checks.h"

namespace mimctl_ops {

inline void check_rotated_boxes(const char* op, const char* name, const Tensor& boxes) {
  check_dim(op, name, boxes, 2);
  check_size(op, name, boxes, 1, 5);
  check_floating(op, name, boxes);
}

// Raise unless boxes are (N, sides), scores (N,) and labels, where given, (N,) int64, all on one device.
inline void check_scored_boxes(const char* op, const char* name, const Tensor& boxes, int64_t sides,
                               const Tensor& scores, const std::optional<Tensor>& labels) {
  check_dim(op, name, boxes, 2);
  check_size(op, name, boxes, 1, sides);
  check_floating(op, name, boxes);
  check_dim(op, "scores", scores, 1);
  check_size(op, "scores", scores, 0, boxes.size(0));
  check_floating(op, "scores", scores);
  check_same_device(op, "scores", scores, boxes);
  if (labels) {
    check_dim(op, "labels", *labels, 1);
    check_size(op, "labels", *labels, 0, boxes.size(0));
    check_same_device(op, "labels", *labels, boxes);
    STD_TORCH_CHECK(labels->scalar_type() == ScalarType::Long, op, ": labels must be int64");
  }
}

// Labels as contiguous numbers for the lifetime of this object; null where there are none.
class Labels {
 public:
  explicit Labels(const std::optional<Tensor>& labels) {
    if (labels) {
      held_ = torch::stable::contiguous(*labels);
    }
  }

  const int64_t* data() const { return held_ ? held_->const_data_ptr<int64_t>() : nullptr; }

 private:
  std::optional<Tensor> held_;
};

}  // namespace mimctl_ops
