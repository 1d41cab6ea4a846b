// Where the samples of a region of interest (RoI) lie on a feature map: the one formula for CPU and CUDA, for upright and
// rotated RoIs. An upright RoI is one turned by nothing around the origin.
//
// Places are numbers of pixels, with the center of the first pixel at 0.
#pragma once

#include <torch/csrc/stable/library.h>

#include <cmath>
#include <cstdint>

#include "checks.h"
#include "host_device.h"

namespace mimctl_ops {

constexpr double kFarthest = 1 << 24;  // pixels; what has a number beyond is not sampled: float cannot tell pixels there
constexpr double kSlack = 64;          // pixels that rounding of such numbers moves a sample by, at most
constexpr int64_t kFewSamples = 64;    // a bin along one side; with more, those far outside the map are left out at once

struct RoiPooling {
  int64_t batch, channels, height, width;  // of the input
  int64_t num_rois, out_h, out_w;
  double spatial_scale;
  int64_t sampling_ratio;
  bool aligned;

  MIMCTL_HOST_DEVICE int64_t bins() const { return out_h * out_w; }
  // From a pixel to the next one, and to the one below; 0 where there is none.
  MIMCTL_HOST_DEVICE int64_t right_step() const { return width > 1 ? 1 : 0; }
  MIMCTL_HOST_DEVICE int64_t below_step() const { return height > 1 ? width : 0; }
};

template <typename T>
struct Roi {
  int64_t image;  // -1 where nothing is sampled
  T center_y, center_x, cos, sin;
  T start_y, start_x, bin_h, bin_w;  // from the center, along the sides of the RoI
  int64_t grid_h, grid_w;            // samples of a bin
};

template <typename T>
MIMCTL_HOST_DEVICE bool is_image(const RoiPooling& pooling, T number) {
  return number >= 0 && number < static_cast<T>(pooling.batch) && number == std::floor(number);
}

template <typename T>
MIMCTL_HOST_DEVICE bool is_near(T number) {  // and no NaN
  return number >= static_cast<T>(-kFarthest) && number <= static_cast<T>(kFarthest);
}

template <typename T>
MIMCTL_HOST_DEVICE Roi<T> make_roi(const RoiPooling& pooling, T image, T center_y, T center_x, T angle, T start_y,
                                   T start_x, T height, T width) {
  if (!(is_image(pooling, image) && pooling.height > 0 && pooling.width > 0 && is_near(center_y) && is_near(center_x) &&
        is_near(start_y) && is_near(start_x) && is_near(height) && is_near(width) && height >= 0 && width >= 0 &&
        angle - angle == 0)) {
    return {-1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
  }
  const T bin_h = height / static_cast<T>(pooling.out_h), bin_w = width / static_cast<T>(pooling.out_w);
  const int64_t ratio = pooling.sampling_ratio;
  const bool turned = angle != 0;
  return {static_cast<int64_t>(image),
          center_y,
          center_x,
          turned ? std::cos(angle) : T{1},
          turned ? std::sin(angle) : T{0},
          start_y,
          start_x,
          bin_h,
          bin_w,
          ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(bin_h)),
          ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(bin_w))};
}

template <typename T>
MIMCTL_HOST_DEVICE T side_of(const RoiPooling& pooling, T side) {
  return !pooling.aligned && side < 1 ? T{1} : side;
}

// `numbers`: image, x1, y1, x2, y2.
template <typename T>
MIMCTL_HOST_DEVICE Roi<T> upright_roi(const RoiPooling& pooling, const T* numbers) {
  const T scale = static_cast<T>(pooling.spatial_scale), shift = pooling.aligned ? T(0.5) : T{0};
  const T x1 = numbers[1] * scale - shift, y1 = numbers[2] * scale - shift;
  const T x2 = numbers[3] * scale - shift, y2 = numbers[4] * scale - shift;
  return make_roi(pooling, numbers[0], T{0}, T{0}, T{0}, y1, x1, side_of(pooling, y2 - y1), side_of(pooling, x2 - x1));
}

// `numbers`: image, x and y of the center, width, height, angle in radians.
template <typename T>
MIMCTL_HOST_DEVICE Roi<T> rotated_roi(const RoiPooling& pooling, const T* numbers, bool clockwise) {
  const T scale = static_cast<T>(pooling.spatial_scale), shift = pooling.aligned ? T(0.5) : T{0};
  const T center_x = numbers[1] * scale - shift, center_y = numbers[2] * scale - shift;
  const T width = side_of(pooling, numbers[3] * scale), height = side_of(pooling, numbers[4] * scale);
  return make_roi(pooling, numbers[0], center_y, center_x, clockwise ? -numbers[5] : numbers[5], -height / 2, -width / 2,
                  height, width);
}

// Where sample `i` of the `grid` samples of bin `b` lies along one side of the RoI.
template <typename T>
MIMCTL_HOST_DEVICE T place_of(T start, T bin, int64_t b, int64_t i, int64_t grid) {
  return start + static_cast<T>(b) * bin + (static_cast<T>(i) + T(0.5)) * bin / static_cast<T>(grid);
}

// A sample along one axis of the map: it lies between pixel `low` and the next one.
template <typename T>
struct Between {
  int64_t low;
  T share;  // of the next pixel, 0 … 1
};

// Return false where the place is more than a pixel outside the map, or NaN; less outside, the border pixel counts.
template <typename T>
MIMCTL_HOST_DEVICE bool find_between(T place, int64_t size, Between<T>& found) {
  if (!(place >= -1 && place <= static_cast<T>(size))) {
    return false;
  }
  const T inside = place < 0 ? T{0} : place;
  const int64_t low = static_cast<int64_t>(inside);
  if (low < size - 1) {
    found = {low, inside - static_cast<T>(low)};
  } else {
    found = size > 1 ? Between<T>{size - 2, T{1}} : Between<T>{0, T{0}};
  }
  return true;
}

struct Range {
  int64_t begin, end;

  // Leave out numbers i for which `first + (i + 0.5) * step` is certainly not between `low` and `high`.
  MIMCTL_HOST_DEVICE void clip(double first, double step, double low, double high) {
    if (step == 0) {
      end = first < low || first > high ? begin : end;
      return;
    }
    const double a = (low - first) / step, b = (high - first) / step;
    const double least = (a < b ? a : b) - 2, most = (a < b ? b : a) + 2;
    begin = least > static_cast<double>(begin) ? (least < static_cast<double>(end) ? static_cast<int64_t>(least) : end)
                                               : begin;
    end = most < static_cast<double>(end) ? (most > static_cast<double>(begin) ? static_cast<int64_t>(most) : begin)
                                          : end;
  }
};

// The rows of samples of bin row `b` that may lie on the map.
template <typename T>
MIMCTL_HOST_DEVICE Range rows_near_map(const RoiPooling& pooling, const Roi<T>& roi, int64_t b) {
  Range rows{0, roi.grid_h};
  if (roi.grid_h > kFewSamples) {
    const double half_h = 0.5 * static_cast<double>(pooling.height), half_w = 0.5 * static_cast<double>(pooling.width);
    const double middle = (half_h - roi.center_y) * roi.cos + (half_w - roi.center_x) * roi.sin;
    const double reach = (half_h + kSlack) * std::fabs(roi.cos) + (half_w + kSlack) * std::fabs(roi.sin);
    rows.clip(static_cast<double>(roi.start_y) + static_cast<double>(b) * roi.bin_h,
              static_cast<double>(roi.bin_h) / static_cast<double>(roi.grid_h), middle - reach, middle + reach);
  }
  return rows;
}

// The samples of bin column `b` that may lie on the map, in the row of samples at `along_y`.
template <typename T>
MIMCTL_HOST_DEVICE Range columns_near_map(const RoiPooling& pooling, const Roi<T>& roi, int64_t b, T along_y) {
  Range columns{0, roi.grid_w};
  if (roi.grid_w > kFewSamples) {
    const double step = static_cast<double>(roi.bin_w) / static_cast<double>(roi.grid_w);
    const double first = static_cast<double>(roi.start_x) + static_cast<double>(b) * roi.bin_w;
    columns.clip(roi.center_x + along_y * static_cast<double>(roi.sin) + first * roi.cos, step * roi.cos, -1 - kSlack,
                 static_cast<double>(pooling.width) + kSlack);
    columns.clip(roi.center_y + along_y * static_cast<double>(roi.cos) - first * roi.sin, -step * roi.sin, -1 - kSlack,
                 static_cast<double>(pooling.height) + kSlack);
  }
  return columns;
}

// Call `each(y, x)` with the samples of a bin that lie on the map, row by row.
template <typename T, typename Each>
MIMCTL_HOST_DEVICE void for_each_sample(const RoiPooling& pooling, const Roi<T>& roi, int64_t bin_y, int64_t bin_x,
                                        const Each& each) {
  const Range rows = rows_near_map(pooling, roi, bin_y);
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const T along_y = place_of(roi.start_y, roi.bin_h, bin_y, i, roi.grid_h);
    const Range columns = columns_near_map(pooling, roi, bin_x, along_y);
    for (int64_t j = columns.begin; j < columns.end; ++j) {
      const T along_x = place_of(roi.start_x, roi.bin_w, bin_x, j, roi.grid_w);
      Between<T> y, x;
      if (find_between(along_y * roi.cos - along_x * roi.sin + roi.center_y, pooling.height, y) &&
          find_between(along_y * roi.sin + along_x * roi.cos + roi.center_x, pooling.width, x)) {
        each(y, x);
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Checks

constexpr int64_t kMostPixels = (int64_t{1} << 31) - 1;  // a side of the input
constexpr int64_t kMostBins = 1 << 15;                   // a side of the output
constexpr int64_t kMostSamples = 1 << 10;                // a side of a bin, where they are not as many as pixels

inline RoiPooling check_roi_pooling(const char* op, const Tensor& input, const Tensor& rois, int64_t roi_size,
                                    int64_t out_h, int64_t out_w, double spatial_scale, int64_t sampling_ratio,
                                    bool aligned) {
  check_dim(op, "input", input, 4);
  check_floating(op, "input", input);
  check_dim(op, "rois", rois, 2);
  check_size(op, "rois", rois, 1, roi_size);
  check_floating(op, "rois", rois);
  check_same_device(op, "rois", rois, input);
  STD_TORCH_CHECK(input.size(2) <= kMostPixels && input.size(3) <= kMostPixels, op, ": input must have at most ",
                  kMostPixels, " pixels a side");
  STD_TORCH_CHECK(out_h > 0 && out_w > 0 && out_h <= kMostBins && out_w <= kMostBins, op,
                  ": output_size must be 1 to ", kMostBins, ", not ", out_h, " x ", out_w);
  STD_TORCH_CHECK(sampling_ratio >= 0 && sampling_ratio <= kMostSamples, op, ": sampling_ratio must be 0 to ",
                  kMostSamples, ", not ", sampling_ratio);
  const RoiPooling pooling{input.size(0), input.size(1), input.size(2),  input.size(3),  rois.size(0),
                           out_h,         out_w,         spatial_scale, sampling_ratio, aligned};
  int64_t count = 0;
  STD_TORCH_CHECK(!__builtin_mul_overflow(pooling.num_rois, pooling.channels, &count) &&
                      !__builtin_mul_overflow(count, pooling.bins(), &count),
                  op, ": the result of so many rois, channels and bins has no size");
  return pooling;
}

inline void check_roi_grad(const char* op, const Tensor& grad, const RoiPooling& pooling, const Tensor& input) {
  check_dim(op, "grad", grad, 4);
  check_floating(op, "grad", grad);
  check_same_device(op, "grad", grad, input);
  check_size(op, "grad", grad, 0, pooling.num_rois);
  check_size(op, "grad", grad, 1, pooling.channels);
  check_size(op, "grad", grad, 2, pooling.out_h);
  check_size(op, "grad", grad, 3, pooling.out_w);
}

}  // namespace mimctl_ops
