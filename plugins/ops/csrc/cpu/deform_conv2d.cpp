// Deformable convolution on the CPU: the loops over samples.
//
// The channels of a pixel lie side by side, so that a sample costs its geometry once and then runs over the channels
// in vector code. Each thread owns what it writes: rows of the columns, offsets of its places, and in the gradient of
// the input a range of channels. So sums are made in one order, whatever the number of threads.
#include <cstring>

#include "../deform_conv2d.h"
#include "clones.h"

namespace mimctl_ops {
namespace {

constexpr int64_t kGrain = 16384;  // numbers of columns a thread takes at least
constexpr int64_t kBlock = 8;      // channels that no two threads share

#define MIMCTL_INLINE inline __attribute__((always_inline))

// Channels that are neighbours in a pixel and in the columns of one tap.
struct Run {
  int64_t channel, length;
  int64_t column;  // of the first channel at tap 0
};

template <typename T>
struct Arguments {
  DeformConv conv;
  const T *input, *offset, *mask;  // mask may be null
  std::vector<T> zeros;            // as many as channels: what a corner outside the image holds

  MIMCTL_INLINE const T* corner(const SamplingPoint<T>& point, int k, int64_t image, int64_t channel) const {
    const int64_t pixel = image * conv.height * conv.width + point.at[k];
    return point.at[k] < 0 ? zeros.data() : input + pixel * conv.channels + channel;
  }

  // Call `each(run)` for the channels begin..end of one deform group.
  template <typename Each>
  MIMCTL_INLINE void for_each_run(int64_t deform_group, int64_t begin, int64_t end, const Each& each) const {
    const int64_t group_size = conv.group_size();
    begin = std::max(begin, deform_group * conv.deform_group_size());
    end = std::min(end, (deform_group + 1) * conv.deform_group_size());
    for (int64_t channel = begin, stop; channel < end; channel = stop) {
      const int64_t group = channel / group_size;
      stop = std::min(end, (group + 1) * group_size);
      each(Run{channel, stop - channel, group * group_size * (conv.taps() - 1) + channel});
    }
  }
};

// out = the weighted sum of the samples' corners, times the mask.
template <typename T>
MIMCTL_INLINE void gather(const Arguments<T>& in, int64_t first, int64_t begin, int64_t end, T* __restrict__ columns) {
  const DeformConv& conv = in.conv;
  const int64_t taps = conv.taps(), group_size = conv.group_size();
  for (int64_t row = begin; row < end; ++row) {
    T* __restrict__ to_row = columns + (row - first) * conv.row_size();
    for (int64_t deform_group = 0; deform_group < conv.deform_groups; ++deform_group) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const auto at = deformation_at(conv, in.offset, in.mask, row, deform_group, tap);
        const int64_t image = row / conv.places();
        const T w0 = at.mask * at.point.weight(0), w1 = at.mask * at.point.weight(1);
        const T w2 = at.mask * at.point.weight(2), w3 = at.mask * at.point.weight(3);
        in.for_each_run(deform_group, 0, conv.channels, [&](const Run& run) __attribute__((always_inline)) {
          const T* c0 = in.corner(at.point, 0, image, run.channel);
          const T* c1 = in.corner(at.point, 1, image, run.channel);
          const T* c2 = in.corner(at.point, 2, image, run.channel);
          const T* c3 = in.corner(at.point, 3, image, run.channel);
          T* __restrict__ out = to_row + run.column + tap * group_size;
          for (int64_t i = 0; i < run.length; ++i) {
            out[i] = (w0 * c0[i] + w1 * c1[i]) + (w2 * c2[i] + w3 * c3[i]);
          }
        });
      }
    }
  }
}

// Add to sums[k] the products of `grad` with corner k; eight partial sums each, for vector code.
template <typename T>
MIMCTL_INLINE void add_products(const T* grad, const T* const (&corners)[4], int64_t length, T (&sums)[4]) {
  typedef T Vector __attribute__((vector_size(8 * sizeof(T))));
  Vector partial[4] = {};
  int64_t i = 0;
  for (; i + 8 <= length; i += 8) {
    Vector factor, corner;
    std::memcpy(&factor, grad + i, sizeof(Vector));
    for (int k = 0; k < 4; ++k) {
      std::memcpy(&corner, corners[k] + i, sizeof(Vector));
      partial[k] += factor * corner;
    }
  }
  for (int k = 0; k < 4; ++k) {
    for (int64_t rest = i; rest < length; ++rest) {
      sums[k] += grad[rest] * corners[k][rest];
    }
    for (int lane = 0; lane < 8; ++lane) {
      sums[k] += partial[k][lane];
    }
  }
}

// The gradients of offset and mask; either may be null.
template <typename T>
MIMCTL_INLINE void differentiate(const Arguments<T>& in, const T* grad_columns, int64_t first, int64_t begin,
                                 int64_t end, T* grad_offset, T* grad_mask) {
  const DeformConv& conv = in.conv;
  const int64_t taps = conv.taps(), group_size = conv.group_size(), places = conv.places();
  for (int64_t row = begin; row < end; ++row) {
    const T* from_row = grad_columns + (row - first) * conv.row_size();
    const int64_t image = row / places, place = row % places;
    for (int64_t deform_group = 0; deform_group < conv.deform_groups; ++deform_group) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const auto [point, mask] = deformation_at(conv, in.offset, in.mask, row, deform_group, tap);
        T sums[4] = {};
        in.for_each_run(deform_group, 0, conv.channels, [&](const Run& run) __attribute__((always_inline)) {
          const T* corners[4];
          for (int k = 0; k < 4; ++k) {
            corners[k] = in.corner(point, k, image, run.channel);
          }
          add_products(from_row + run.column + tap * group_size, corners, run.length, sums);
        });
        const int64_t plane = (image * conv.deform_groups + deform_group) * taps + tap;
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
}

// Add what rows begin..end give to the channels from..to of the input's gradient.
template <typename T>
MIMCTL_INLINE void scatter(const Arguments<T>& in, const T* grad_columns, int64_t first, int64_t begin, int64_t end,
                           int64_t from, int64_t to, T* grad_input) {
  const DeformConv& conv = in.conv;
  const int64_t taps = conv.taps(), group_size = conv.group_size(), deform_group_size = conv.deform_group_size();
  for (int64_t row = begin; row < end; ++row) {
    const T* from_row = grad_columns + (row - first) * conv.row_size();
    const int64_t pixels = row / conv.places() * conv.height * conv.width;
    for (int64_t deform_group = from / deform_group_size; deform_group * deform_group_size < to; ++deform_group) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const auto at = deformation_at(conv, in.offset, in.mask, row, deform_group, tap);
        in.for_each_run(deform_group, from, to, [&](const Run& run) __attribute__((always_inline)) {
          const T* __restrict__ grad = from_row + run.column + tap * group_size;
          for (int k = 0; k < 4; ++k) {
            if (at.point.at[k] < 0) {
              continue;
            }
            const T weight = at.mask * at.point.weight(k);
            T* __restrict__ out = grad_input + (pixels + at.point.at[k]) * conv.channels + run.channel;
            for (int64_t i = 0; i < run.length; ++i) {
              out[i] += weight * grad[i];
            }
          }
        });
      }
    }
  }
}

#define MIMCTL_DEFINE_LOOPS(T)                                                                                       \
  MIMCTL_CLONES void gather_rows(const Arguments<T>& in, int64_t first, int64_t begin, int64_t end, T* columns) {   \
    gather(in, first, begin, end, columns);                                                                          \
  }                                                                                                                  \
  MIMCTL_CLONES void differentiate_rows(const Arguments<T>& in, const T* grad_columns, int64_t first, int64_t begin, \
                                        int64_t end, T* grad_offset, T* grad_mask) {                                 \
    differentiate(in, grad_columns, first, begin, end, grad_offset, grad_mask);                                      \
  }                                                                                                                  \
  MIMCTL_CLONES void scatter_rows(const Arguments<T>& in, const T* grad_columns, int64_t first, int64_t begin,      \
                                  int64_t end, int64_t from, int64_t to, T* grad_input) {                            \
    scatter(in, grad_columns, first, begin, end, from, to, grad_input);                                              \
  }
MIMCTL_DEFINE_LOOPS(float)
MIMCTL_DEFINE_LOOPS(double)
#undef MIMCTL_DEFINE_LOOPS

template <typename T>
Arguments<T> arguments_of(const DeformConvInputs& in) {
  return {in.conv, in.input.const_data_ptr<T>(), in.offset.const_data_ptr<T>(),
          in.has_mask ? in.mask.const_data_ptr<T>() : nullptr, std::vector<T>(in.conv.channels)};
}

int64_t grain_of(const DeformConv& conv) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(conv.row_size(), 1)); }

template <typename T>
void gather_part(const DeformConvInputs& in, int64_t first, int64_t end, const Tensor& columns) {
  const auto arguments = arguments_of<T>(in);
  T* data = columns.mutable_data_ptr<T>();
  torch::stable::parallel_for(first, end, grain_of(in.conv), [&](int64_t begin, int64_t stop) {
    gather_rows(arguments, first, begin, stop, data);
  });
}

template <typename T>
void differentiate_part(const DeformConvInputs& in, const Tensor& grad_columns, int64_t first, int64_t end,
                        const DeformConvGradients& gradients) {
  const auto arguments = arguments_of<T>(in);
  const DeformConv& conv = in.conv;
  const T* above = grad_columns.const_data_ptr<T>();
  T *grad_offset = data_of<T>(gradients.offset), *grad_mask = data_of<T>(gradients.mask);
  if (grad_offset != nullptr || grad_mask != nullptr) {
    torch::stable::parallel_for(first, end, grain_of(conv), [&](int64_t begin, int64_t stop) {
      differentiate_rows(arguments, above, first, begin, stop, grad_offset, grad_mask);
    });
  }
  if (T* grad_input = data_of<T>(gradients.input)) {
    const int64_t num_blocks = (conv.channels + kBlock - 1) / kBlock;
    const int64_t grain = std::max<int64_t>(1, kGrain / ((end - first) * conv.taps() * kBlock));
    torch::stable::parallel_for(0, num_blocks, grain, [&](int64_t begin, int64_t stop) {
      const int64_t last = std::min(conv.channels, stop * kBlock);
      scatter_rows(arguments, above, first, first, end, begin * kBlock, last, grad_input);
    });
  }
}

struct CpuLoops {
  static constexpr int64_t kBytesAtATime = int64_t{8} << 20;

  explicit CpuLoops(const Tensor&) {}

  static ScalarType stored_type(ScalarType type) { return compute_type(type); }

  void gather(const DeformConvInputs& in, int64_t first, int64_t end, const Tensor& columns) const {
    with_compute_type(in.type, [&](auto zero) { gather_part<decltype(zero)>(in, first, end, columns); });
  }

  void differentiate(const DeformConvInputs& in, const Tensor& grad_columns, int64_t first, int64_t end,
                     const DeformConvGradients& gradients) const {
    with_compute_type(in.type, [&](auto zero) {
      differentiate_part<decltype(zero)>(in, grad_columns, first, end, gradients);
    });
  }

  void add(const Tensor& part, const Tensor& sum) const {
    with_compute_type(part.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const T* from = part.const_data_ptr<T>();
      T* to = sum.mutable_data_ptr<T>();
      torch::stable::parallel_for(0, part.numel(), kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          to[i] += from[i];
        }
      });
    });
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) {
  library.impl("deform_conv2d", TORCH_BOX(&deform_conv2d_forward<CpuLoops>));
  library.impl("deform_conv2d_backward", TORCH_BOX(&deform_conv2d_backward<CpuLoops>));
}

}  // namespace mimctl_ops
