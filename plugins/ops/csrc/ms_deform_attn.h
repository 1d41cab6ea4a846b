// Where a sample of multi-scale deformable attention lies: the one formula for CPU and CUDA.
#pragma once

#include <cmath>
#include <cstdint>

#include "checks.h"
#include "host_device.h"

namespace mimctl_ops {

// One picture of the pyramid, whose rows of pixels follow each other from `start` on in `value`.
struct Level {
  int64_t height, width, start;
};

// Whether all pixels of a level are among the `num_keys` of `value`.
MIMCTL_HOST_DEVICE bool lies_within(const Level& level, int64_t num_keys) {
  const bool has_size = level.height >= 0 && level.width >= 0 && (level.height | level.width) >> 31 == 0;
  return has_size && level.start >= 0 && level.start <= num_keys &&
         level.height * level.width <= num_keys - level.start;
}

// The four pixels around a place, bilinear weights, and which of them exist. Pixel centers lie at half numbers.
template <typename T>
struct LevelSample {
  int64_t key;       // of the upper left pixel; it need not exist
  int64_t width;     // from a pixel to the one below
  T right, lower;    // 0 … 1, how far the place is from the upper left pixel
  bool exists[4];    // upper left, upper right, lower left, lower right

  MIMCTL_HOST_DEVICE int64_t key_of(int corner) const { return key + (corner & 1) + (corner & 2 ? width : 0); }

  MIMCTL_HOST_DEVICE T weight_of(int corner) const {
    return (corner & 1 ? right : 1 - right) * (corner & 2 ? lower : 1 - lower);
  }
};

// Return false where no pixel of the level is near `x, y` (0 … 1 across the level), or one of them is NaN.
template <typename T>
MIMCTL_HOST_DEVICE bool find_sample(const Level& level, T x, T y, LevelSample<T>& sample) {
  const T column = x * static_cast<T>(level.width) - T(0.5), row = y * static_cast<T>(level.height) - T(0.5);
  if (!(column > -1 && row > -1 && column < static_cast<T>(level.width) && row < static_cast<T>(level.height))) {
    return false;
  }
  const T left = std::floor(column), upper = std::floor(row);
  const int64_t i = static_cast<int64_t>(upper), j = static_cast<int64_t>(left);
  // The comparison above is one of floating point numbers, these are exact for any size of level.
  const bool has_left = j >= 0 && j < level.width, has_right = j + 1 < level.width;
  const bool has_upper = i >= 0 && i < level.height, has_lower = i + 1 < level.height;
  sample = {level.start + i * level.width + j,
            level.width,
            column - left,
            row - upper,
            {has_upper && has_left, has_upper && has_right, has_lower && has_left, has_lower && has_right}};
  return true;
}

struct AttentionSizes {
  int64_t batch, num_keys, num_heads, num_channels, num_queries, num_levels, num_points;
};

// Raise unless the arguments fit together; what `spatial_shapes` and `level_start_index` say is not looked at.
inline AttentionSizes check_attention(const char* op, const Tensor& value, const Tensor& spatial_shapes,
                                      const Tensor& level_start_index, const Tensor& sampling_locations,
                                      const Tensor& attention_weights) {
  check_dim(op, "value", value, 4);
  check_floating(op, "value", value);
  check_dim(op, "spatial_shapes", spatial_shapes, 2);
  check_size(op, "spatial_shapes", spatial_shapes, 1, 2);
  check_dim(op, "level_start_index", level_start_index, 1);
  check_size(op, "level_start_index", level_start_index, 0, spatial_shapes.size(0));
  STD_TORCH_CHECK(spatial_shapes.scalar_type() == ScalarType::Long, op, ": spatial_shapes must be int64");
  STD_TORCH_CHECK(level_start_index.scalar_type() == ScalarType::Long, op, ": level_start_index must be int64");
  check_dim(op, "sampling_locations", sampling_locations, 6);
  check_size(op, "sampling_locations", sampling_locations, 5, 2);
  check_floating(op, "sampling_locations", sampling_locations);
  check_dim(op, "attention_weights", attention_weights, 5);
  check_floating(op, "attention_weights", attention_weights);
  const int64_t expected[5] = {value.size(0), sampling_locations.size(1), value.size(2), spatial_shapes.size(0),
                               sampling_locations.size(4)};
  for (int64_t dim = 0; dim < 5; ++dim) {
    check_size(op, "sampling_locations", sampling_locations, dim, expected[dim]);
    check_size(op, "attention_weights", attention_weights, dim, expected[dim]);
  }
  check_same_device(op, "spatial_shapes", spatial_shapes, value);
  check_same_device(op, "level_start_index", level_start_index, value);
  check_same_device(op, "sampling_locations", sampling_locations, value);
  check_same_device(op, "attention_weights", attention_weights, value);
  return {value.size(0), value.size(1), value.size(2), value.size(3), expected[1], expected[3], expected[4]};
}

inline void check_attention_grad(const char* op, const Tensor& grad, const Tensor& value, const AttentionSizes& sizes) {
  check_dim(op, "grad", grad, 3);
  check_size(op, "grad", grad, 0, sizes.batch);
  check_size(op, "grad", grad, 1, sizes.num_queries);
  check_size(op, "grad", grad, 2, sizes.num_heads * sizes.num_channels);
  check_floating(op, "grad", grad);
  check_same_device(op, "grad", grad, value);
}

}  // namespace mimctl_ops
