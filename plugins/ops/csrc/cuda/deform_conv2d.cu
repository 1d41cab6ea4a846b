// Deformable convolution on CUDA: the loops over samples.
//
// The channels of a pixel lie side by side, and so do they in the columns. A few neighbouring threads, at most a warp,
// share a sample: its geometry is computed once, and neighbouring threads take neighbouring channels.
#include "../deform_conv2d.h"
#include "atomic_add.h"
#include "launch.h"

namespace mimctl_ops {
namespace {

constexpr int kWarp = 32;
static_assert(kThreads % kWarp == 0, "blocks are made of whole warps");

template <typename T>
struct Arguments {
  DeformConv conv;
  const T* input;
  const Compute<T>*offset, *mask;  // mask may be null
  int64_t first, num_samples;      // the first row of this part; samples in the part
  int lanes;                       // threads that share a sample: a power of two, at most a warp
};

// One tap of one deform group in one row.
struct Sample {
  int64_t row_of_part, row, deform_group, tap;
  int64_t begin, end;  // its channels, for this thread: every one of `lanes`
};

template <typename T>
__device__ Sample sample_of(const Arguments<T>& in, int64_t thread) {
  const DeformConv& conv = in.conv;
  const int64_t sample = thread / in.lanes, taps = conv.taps(), plane = sample / taps;
  const int64_t row_of_part = plane / conv.deform_groups, deform_group = plane % conv.deform_groups;
  const int64_t begin = deform_group * conv.deform_group_size();
  return {row_of_part, in.first + row_of_part, deform_group, sample % taps, begin + thread % in.lanes,
          begin + conv.deform_group_size()};
}

// Where a channel of the sample lies in the columns of this part.
__device__ int64_t column_of(const DeformConv& conv, const Sample& sample, int64_t channel) {
  const int64_t group = conv.groups == 1 ? 0 : channel / conv.group_size();
  return sample.row_of_part * conv.row_size() + (group * (conv.taps() - 1) + sample.tap) * conv.group_size() + channel;
}

// Where the channels of a corner begin in the input.
__device__ int64_t pixel_of(const DeformConv& conv, const Sample& sample, int64_t corner) {
  return (sample.row / conv.places() * conv.height * conv.width + corner) * conv.channels;
}

template <typename T>
__global__ void gather(Arguments<T> in, T* __restrict__ columns) {
  using C = Compute<T>;
  const DeformConv& conv = in.conv;
  MIMCTL_FOR_EACH(thread, in.num_samples * in.lanes) {
    const Sample sample = sample_of(in, thread);
    const auto [point, mask] = deformation_at(conv, in.offset, in.mask, sample.row, sample.deform_group, sample.tap);
    for (int64_t channel = sample.begin; channel < sample.end; channel += in.lanes) {
      C corners[4] = {0, 0, 0, 0};
      for (int k = 0; k < 4; ++k) {
        if (point.at[k] >= 0) {
          corners[k] = static_cast<C>(in.input[pixel_of(conv, sample, point.at[k]) + channel]);
        }
      }
      columns[column_of(conv, sample, channel)] = static_cast<T>(mask * point.value(corners));
    }
  }
}

template <typename T>
__global__ void scatter(Arguments<T> in, const T* __restrict__ grad_columns, Compute<T>* __restrict__ grad_input) {
  using C = Compute<T>;
  const DeformConv& conv = in.conv;
  MIMCTL_FOR_EACH(thread, in.num_samples * in.lanes) {
    const Sample sample = sample_of(in, thread);
    const auto [point, mask] = deformation_at(conv, in.offset, in.mask, sample.row, sample.deform_group, sample.tap);
    for (int64_t channel = sample.begin; channel < sample.end; channel += in.lanes) {
      const C grad = mask * static_cast<C>(grad_columns[column_of(conv, sample, channel)]);
      for (int k = 0; k < 4; ++k) {
        if (point.at[k] >= 0) {
          atomic_add(grad_input + pixel_of(conv, sample, point.at[k]) + channel, point.weight(k) * grad);
        }
      }
    }
  }
}

// The threads of a warp add up together, so all of them come here, `num_threads` being a multiple of the warp; those
// beyond the last sample have no channels.
template <typename T>
__global__ void differentiate(Arguments<T> in, int64_t num_threads, const T* __restrict__ grad_columns,
                              Compute<T>* __restrict__ grad_offset, Compute<T>* __restrict__ grad_mask) {
  using C = Compute<T>;
  const DeformConv& conv = in.conv;
  const int64_t num_with_sample = in.num_samples * in.lanes;
  MIMCTL_FOR_EACH(thread, num_threads) {
    const bool has_sample = thread < num_with_sample;
    const Sample sample = sample_of(in, has_sample ? thread : 0);
    const auto [point, mask] = deformation_at(conv, in.offset, in.mask, sample.row, sample.deform_group, sample.tap);
    C sums[4] = {0, 0, 0, 0};
    for (int64_t channel = sample.begin; has_sample && channel < sample.end; channel += in.lanes) {
      const C grad = static_cast<C>(grad_columns[column_of(conv, sample, channel)]);
      for (int k = 0; k < 4; ++k) {
        if (point.at[k] >= 0) {
          sums[k] += grad * static_cast<C>(in.input[pixel_of(conv, sample, point.at[k]) + channel]);
        }
      }
    }
    for (int k = 0; k < 4; ++k) {
      for (int step = in.lanes / 2; step > 0; step /= 2) {
        sums[k] += __shfl_xor_sync(0xffffffffu, sums[k], step);
      }
    }
    if (has_sample && thread % in.lanes == 0) {
      const int64_t places = conv.places(), place = sample.row % places;
      const int64_t image = sample.row / places;
      const int64_t plane = (image * conv.deform_groups + sample.deform_group) * conv.taps() + sample.tap;
      if (grad_offset != nullptr) {
        grad_offset[2 * plane * places + place] = mask * point.slope_y(sums);
        grad_offset[(2 * plane + 1) * places + place] = mask * point.slope_x(sums);
      }
      if (grad_mask != nullptr) {
        grad_mask[plane * places + place] = point.value(sums);
      }
    }
  }
}

template <typename T>
__global__ void add_to(const T* __restrict__ part, int64_t count, Compute<T>* __restrict__ sum) {
  MIMCTL_FOR_EACH(i, count) { sum[i] += static_cast<Compute<T>>(part[i]); }
}

template <typename T>
Arguments<T> arguments_of(const DeformConvInputs& in, int64_t first, int64_t end) {
  using C = Compute<T>;
  const DeformConv& conv = in.conv;
  int lanes = 1;
  while (lanes < kWarp && lanes < conv.deform_group_size()) {
    lanes *= 2;
  }
  return {conv,
          in.input.const_data_ptr<T>(),
          in.offset.const_data_ptr<C>(),
          in.has_mask ? in.mask.const_data_ptr<C>() : nullptr,
          first,
          (end - first) * conv.deform_groups * conv.taps(),
          lanes};
}

class CudaLoops {
 public:
  static constexpr int64_t kBytesAtATime = int64_t{64} << 20;

  explicit CudaLoops(const Tensor& input) : device_(input) {}

  static ScalarType stored_type(ScalarType type) { return type; }

  void gather(const DeformConvInputs& in, int64_t first, int64_t end, const Tensor& columns) const {
    with_type(in.type, [&](auto zero) {
      using T = decltype(zero);
      const auto arguments = arguments_of<T>(in, first, end);
      launch(mimctl_ops::gather<T>, arguments.num_samples * arguments.lanes, arguments, columns.mutable_data_ptr<T>());
    });
  }

  void differentiate(const DeformConvInputs& in, const Tensor& grad_columns, int64_t first, int64_t end,
                     const DeformConvGradients& gradients) const {
    with_type(in.type, [&](auto zero) {
      using T = decltype(zero);
      using C = Compute<T>;
      const auto arguments = arguments_of<T>(in, first, end);
      const int64_t num_threads = arguments.num_samples * arguments.lanes;
      const T* above = grad_columns.const_data_ptr<T>();
      if (gradients.input) {
        launch(scatter<T>, num_threads, arguments, above, data_of<C>(gradients.input));
      }
      if (gradients.offset || gradients.mask) {
        const int64_t whole_warps = (num_threads + kWarp - 1) / kWarp * kWarp;
        launch(mimctl_ops::differentiate<T>, whole_warps, arguments, whole_warps, above, data_of<C>(gradients.offset),
               data_of<C>(gradients.mask));
      }
    });
  }

  void add(const Tensor& part, const Tensor& sum) const {
    with_type(part.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      launch(add_to<T>, part.numel(), part.const_data_ptr<T>(), part.numel(), sum.mutable_data_ptr<Compute<T>>());
    });
  }

 private:
  template <typename Kernel, typename... Args>
  void launch(Kernel kernel, int64_t count, Args... args) const {
    if (count > 0) {
      kernel<<<num_blocks(count), kThreads, 0, device_.stream>>>(args...);
      check_launch("deform_conv2d");
    }
  }

  OnDeviceOf device_;
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) {
  library.impl("deform_conv2d", TORCH_BOX(&deform_conv2d_forward<CudaLoops>));
  library.impl("deform_conv2d_backward", TORCH_BOX(&deform_conv2d_backward<CudaLoops>));
}

}  // namespace mimctl_ops
