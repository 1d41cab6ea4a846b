// Pooling of regions of interest on CUDA, upright and rotated; roi_align.cu and roi_align_rotated.cu say what a RoI is.
//
// A thread works out one bin of one channel from the formulas of roi_sampling.h. Gradients are added up in the type that
// numbers are computed in, in an order that differs from run to run.
#pragma once

#include "../roi_sampling.h"
#include "atomic_add.h"
#include "launch.h"

namespace mimctl_ops {

// What turns a row of `rois` into a RoI.
struct Upright {
  static constexpr int kSize = 5;
  template <typename C>
  __device__ Roi<C> operator()(const RoiPooling& pooling, const C* numbers) const {
    return upright_roi(pooling, numbers);
  }
};

struct Rotated {
  static constexpr int kSize = 6;
  bool clockwise;
  template <typename C>
  __device__ Roi<C> operator()(const RoiPooling& pooling, const C* numbers) const {
    return rotated_roi(pooling, numbers, clockwise);
  }
};

// One number of the result.
struct RoiBin {
  int64_t roi, channel, y, x;

  __device__ RoiBin(const RoiPooling& pooling, int64_t i)
      : roi(i / pooling.bins() / pooling.channels),
        channel(i / pooling.bins() % pooling.channels),
        y(i / pooling.out_w % pooling.out_h),
        x(i % pooling.out_w) {}

  template <typename C>
  __device__ int64_t plane(const RoiPooling& pooling, const Roi<C>& where) const {
    return (where.image * pooling.channels + channel) * pooling.height * pooling.width;
  }
};

template <typename T>
__device__ Compute<T> value_at(const RoiPooling& pooling, const T* plane, const Between<Compute<T>>& y,
                               const Between<Compute<T>>& x) {
  using C = Compute<T>;
  const T* const pixel = plane + y.low * pooling.width + x.low;
  const int64_t right = pooling.right_step(), below = pooling.below_step();
  const C upper = (1 - x.share) * static_cast<C>(pixel[0]) + x.share * static_cast<C>(pixel[right]);
  const C lower = (1 - x.share) * static_cast<C>(pixel[below]) + x.share * static_cast<C>(pixel[below + right]);
  return (1 - y.share) * upper + y.share * lower;
}

template <typename C>
__device__ void add_to_pixels(const RoiPooling& pooling, C grad, C* plane, const Between<C>& y, const Between<C>& x) {
  C* const pixel = plane + y.low * pooling.width + x.low;
  const int64_t right = pooling.right_step(), below = pooling.below_step();
  const C upper = grad * (1 - y.share), lower = grad * y.share;
  atomic_add(pixel, upper * (1 - x.share));
  atomic_add(pixel + right, upper * x.share);
  atomic_add(pixel + below, lower * (1 - x.share));
  atomic_add(pixel + below + right, lower * x.share);
}

// The largest sample of a bin, and where it lies; samples outside the map are zeros.
template <typename C>
struct LargestSample {
  C value;
  Between<C> y, x;
  bool on_map;
};

template <typename T>
__device__ LargestSample<Compute<T>> find_largest(const RoiPooling& pooling, const Roi<Compute<T>>& roi,
                                                  const RoiBin& bin, const T* plane) {
  using C = Compute<T>;
  LargestSample<C> largest{0, {0, 0}, {0, 0}, false};
  int64_t count = 0;
  for_each_sample(pooling, roi, bin.y, bin.x, [&](const Between<C>& y, const Between<C>& x) {
    const C value = value_at(pooling, plane, y, x);
    if (!largest.on_map || (!(value <= largest.value) && largest.value == largest.value)) {  // NaN stays
      largest = {value, y, x, true};
    }
    ++count;
  });
  if (count < roi.grid_h * roi.grid_w && largest.value <= 0) {
    largest = {0, {0, 0}, {0, 0}, false};
  }
  return largest;
}

template <typename C>
__device__ C samples_of_bin(const Roi<C>& roi) {
  const C count = static_cast<C>(roi.grid_h) * static_cast<C>(roi.grid_w);
  return count > 1 ? count : C{1};
}

template <bool is_max, typename T, typename MakeRoi>
__global__ void pool_kernel(RoiPooling pooling, MakeRoi make_roi_of, int64_t count, const T* __restrict__ input,
                            const Compute<T>* __restrict__ rois, T* __restrict__ out) {
  using C = Compute<T>;
  MIMCTL_FOR_EACH(i, count) {
    const RoiBin bin(pooling, i);
    const Roi<C> roi = make_roi_of(pooling, rois + bin.roi * MakeRoi::kSize);
    C result = 0;
    if (roi.image >= 0) {
      const T* const plane = input + bin.plane(pooling, roi);
      if (is_max) {
        result = find_largest(pooling, roi, bin, plane).value;
      } else {
        for_each_sample(pooling, roi, bin.y, bin.x, [&](const Between<C>& y, const Between<C>& x) {
          result += value_at(pooling, plane, y, x);
        });
        result /= samples_of_bin(roi);
      }
    }
    out[i] = static_cast<T>(result);
  }
}

template <bool is_max, typename T, typename MakeRoi>
__global__ void spread_kernel(RoiPooling pooling, MakeRoi make_roi_of, int64_t count, const T* __restrict__ grad,
                              const T* __restrict__ input, const Compute<T>* __restrict__ rois, Compute<T>* out) {
  using C = Compute<T>;
  MIMCTL_FOR_EACH(i, count) {
    const RoiBin bin(pooling, i);
    const Roi<C> roi = make_roi_of(pooling, rois + bin.roi * MakeRoi::kSize);
    if (roi.image < 0) {
      continue;
    }
    const int64_t plane = bin.plane(pooling, roi);
    if (is_max) {
      const LargestSample<C> largest = find_largest(pooling, roi, bin, input + plane);
      if (largest.on_map) {
        add_to_pixels(pooling, static_cast<C>(grad[i]), out + plane, largest.y, largest.x);
      }
    } else {
      const C share = static_cast<C>(grad[i]) / samples_of_bin(roi);
      for_each_sample(pooling, roi, bin.y, bin.x, [&](const Between<C>& y, const Between<C>& x) {
        add_to_pixels(pooling, share, out + plane, y, x);
      });
    }
  }
}

template <bool is_max, typename MakeRoi>
Tensor pool_rois(const char* op, const RoiPooling& pooling, const MakeRoi& make_roi_of, const Tensor& input,
                 const Tensor& rois) {
  const OnDeviceOf device(input);
  const auto type = input.scalar_type();
  const Tensor features = torch::stable::contiguous(input), numbers = as_contiguous(rois, compute_type(type));
  Tensor out = torch::stable::new_empty(features, {pooling.num_rois, pooling.channels, pooling.out_h, pooling.out_w});
  const int64_t count = out.numel();
  if (count == 0) {
    return out;
  }
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    pool_kernel<is_max, T><<<num_blocks(count), kThreads, 0, device.stream>>>(
        pooling, make_roi_of, count, features.const_data_ptr<T>(), numbers.const_data_ptr<Compute<T>>(),
        out.mutable_data_ptr<T>());
  });
  check_launch(op);
  return out;
}

template <bool is_max, typename MakeRoi>
Tensor spread_rois(const char* op, const RoiPooling& pooling, const MakeRoi& make_roi_of, const Tensor& grad,
                   const Tensor& input, const Tensor& rois) {
  const OnDeviceOf device(input);
  const auto type = input.scalar_type();
  const Tensor numbers = as_contiguous(rois, compute_type(type)), above = as_contiguous(grad, type);
  const Tensor features = is_max ? torch::stable::contiguous(input) : above;
  Tensor out = torch::stable::new_zeros(numbers, {pooling.batch, pooling.channels, pooling.height, pooling.width});
  const int64_t count = above.numel();
  if (count > 0) {
    with_type(type, [&](auto zero) {
      using T = decltype(zero);
      spread_kernel<is_max, T><<<num_blocks(count), kThreads, 0, device.stream>>>(
          pooling, make_roi_of, count, above.const_data_ptr<T>(), features.const_data_ptr<T>(),
          numbers.const_data_ptr<Compute<T>>(), out.mutable_data_ptr<Compute<T>>());
    });
    check_launch(op);
  }
  return as_contiguous(out, type);
}

}  // namespace mimctl_ops
