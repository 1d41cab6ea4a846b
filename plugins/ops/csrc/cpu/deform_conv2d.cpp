// Deformable convolution on the CPU (Dai et al., "Deformable Convolutional Networks", 2017, and Zhu et al.,
// "Deformable ConvNets v2", 2019), forward and backward.
//
// The channels of a pixel lie side by side, so that a sample costs its geometry once and then runs over the channels
// in vector code. Each thread owns what it writes: rows of the columns, offsets of its places, and in the gradient of
// the input a range of channels. So sums are made in one order, whatever the number of threads.
#include <cstring>

#include "../deform_conv2d.h"
#include "clones.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "deform_conv2d";
constexpr int64_t kBytesAtATime = int64_t{4} << 20;  // of columns: what a core's share of the cache holds
constexpr int64_t kGrain = 16384;                    // numbers of columns a thread takes at least
constexpr int64_t kBlock = 8;                        // channels that no two threads share

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
  const T* zeros;                  // as many as channels: what a corner outside the image holds

  MIMCTL_INLINE const T* corner(const SamplingPoint<T>& sample, int k, int64_t image, int64_t channel) const {
    const int64_t pixel = image * conv.height * conv.width + sample.at[k];
    return sample.at[k] < 0 ? zeros : input + pixel * conv.channels + channel;
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
        const T w0 = at.mask * at.sample.weight(0), w1 = at.mask * at.sample.weight(1);
        const T w2 = at.mask * at.sample.weight(2), w3 = at.mask * at.sample.weight(3);
        in.for_each_run(deform_group, 0, conv.channels, [&](const Run& run) __attribute__((always_inline)) {
          const T* c0 = in.corner(at.sample, 0, image, run.channel);
          const T* c1 = in.corner(at.sample, 1, image, run.channel);
          const T* c2 = in.corner(at.sample, 2, image, run.channel);
          const T* c3 = in.corner(at.sample, 3, image, run.channel);
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
        const auto [sample, mask] = deformation_at(conv, in.offset, in.mask, row, deform_group, tap);
        T sums[4] = {};
        in.for_each_run(deform_group, 0, conv.channels, [&](const Run& run) __attribute__((always_inline)) {
          const T* corners[4];
          for (int k = 0; k < 4; ++k) {
            corners[k] = in.corner(sample, k, image, run.channel);
          }
          add_products(from_row + run.column + tap * group_size, corners, run.length, sums);
        });
        const int64_t plane = (image * conv.deform_groups + deform_group) * taps + tap;
        if (grad_offset != nullptr) {
          const T below = sample.below, right = sample.right;
          grad_offset[2 * plane * places + place] = mask * ((sums[2] - sums[0]) * (1 - right) + (sums[3] - sums[1]) * right);
          grad_offset[(2 * plane + 1) * places + place] =
              mask * ((sums[1] - sums[0]) * (1 - below) + (sums[3] - sums[2]) * below);
        }
        if (grad_mask != nullptr) {
          grad_mask[plane * places + place] = (sample.weight(0) * sums[0] + sample.weight(1) * sums[1]) +
                                              (sample.weight(2) * sums[2] + sample.weight(3) * sums[3]);
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
            if (at.sample.at[k] < 0) {
              continue;
            }
            const T weight = at.mask * at.sample.weight(k);
            T* __restrict__ out = grad_input + (pixels + at.sample.at[k]) * conv.channels + run.channel;
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

// The arguments in the type that is computed in, laid out for the loops.
struct Prepared {
  DeformConv conv;
  ScalarType type;
  Tensor input, offset, mask, weight, zeros;
  bool has_mask;
  int64_t num_at_a_time;

  Prepared(const DeformConv& checked, const Tensor& in, const Tensor& offsets, const std::optional<Tensor>& masks,
           const Tensor& weights)
      : conv(checked),
        type(compute_type(in.scalar_type())),
        input(as_channels_last(in, type)),
        offset(as_contiguous(offsets, type)),
        weight(as_channels_last(weights, type)),
        zeros(torch::stable::new_zeros(input, {conv.channels}, type)),
        has_mask(masks.has_value()),
        num_at_a_time(rows_at_a_time(conv, type, kBytesAtATime)) {
    if (has_mask) {
      mask = as_contiguous(*masks, type);
    }
  }

  template <typename T>
  Arguments<T> arguments() const {
    return {conv, input.const_data_ptr<T>(), offset.const_data_ptr<T>(),
            has_mask ? mask.const_data_ptr<T>() : nullptr, zeros.const_data_ptr<T>()};
  }

  Tensor new_columns() const { return torch::stable::new_empty(input, {num_at_a_time, conv.row_size()}, type); }
  int64_t grain() const { return std::max<int64_t>(1, kGrain / std::max<int64_t>(conv.row_size(), 1)); }

  // Call `each(first, end)` for one part of the rows after the other.
  template <typename Each>
  void for_each_part(const Each& each) const {
    for (int64_t first = 0; first < conv.rows(); first += num_at_a_time) {
      each(first, std::min(conv.rows(), first + num_at_a_time));
    }
  }
};

template <typename T>
void gather_part(const Prepared& in, int64_t first, int64_t end, const Tensor& columns) {
  const auto arguments = in.arguments<T>();
  T* data = columns.mutable_data_ptr<T>();
  torch::stable::parallel_for(first, end, in.grain(), [&](int64_t begin, int64_t stop) {
    gather_rows(arguments, first, begin, stop, data);
  });
}

Tensor forward(const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask, const Tensor& weight,
               const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
               const std::vector<int64_t>& dilation, int64_t groups, int64_t deform_groups) {
  const DeformConv conv =
      check_deform_conv(kOp, input, offset, mask, weight, stride, padding, dilation, groups, deform_groups);
  const Prepared in(conv, input, offset, mask, weight);
  const Tensor out = empty_channels_last(input, in.type, {conv.batch, conv.out_channels, conv.out_h, conv.out_w});
  const Tensor columns = in.new_columns();
  const Tensor weights = weight_of(conv).transposed().of(in.weight, groups, 0);
  in.for_each_part([&](int64_t first, int64_t end) {
    with_compute_type(in.type, [&](auto zero) { gather_part<decltype(zero)>(in, first, end, columns); });
    multiply(columns_of(conv, end - first).of(columns, groups, 0), weights,
             output_of(conv, end - first).of(out, groups, first * conv.out_channels));
  });
  return as_contiguous(out, input.scalar_type());
}

// The gradients; what is not wanted is undefined.
struct Gradients {
  std::optional<Tensor> input, offset, mask, weight;

  Gradients(const Prepared& in, int64_t wanted) {
    const DeformConv& conv = in.conv;
    if (wanted & 1) {
      input = empty_channels_last(in.input, in.type, {conv.batch, conv.channels, conv.height, conv.width});
      torch::stable::zero_(*input);
    }
    if (wanted & 2) {
      offset = torch::stable::empty_like(in.offset);
    }
    if (wanted & 4 && in.has_mask) {
      mask = torch::stable::empty_like(in.mask);
    }
    if (wanted & 8) {
      weight = empty_channels_last(in.input, in.type,
                                   {conv.out_channels, conv.group_size(), conv.kernel_h, conv.kernel_w});
    }
  }
};

template <typename T>
T* data_of(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->mutable_data_ptr<T>() : nullptr;
}

// The gradients of input, offset and mask, from that of the columns `first` to `end`.
template <typename T>
void differentiate_part(const Prepared& in, const Tensor& grad_columns, int64_t first, int64_t end,
                        const Gradients& gradients) {
  const auto arguments = in.arguments<T>();
  const DeformConv& conv = in.conv;
  const T* above = grad_columns.const_data_ptr<T>();
  T *grad_offset = data_of<T>(gradients.offset), *grad_mask = data_of<T>(gradients.mask);
  if (grad_offset != nullptr || grad_mask != nullptr) {
    torch::stable::parallel_for(first, end, in.grain(), [&](int64_t begin, int64_t stop) {
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

template <typename T>
void add(const Tensor& part, const Tensor& sum) {
  const T* from = part.const_data_ptr<T>();
  T* to = sum.mutable_data_ptr<T>();
  torch::stable::parallel_for(0, part.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      to[i] += from[i];
    }
  });
}

// The gradient of the weight: the sum over the parts of (gradient of the output)^T x columns.
void differentiate_weight(const Prepared& in, const Tensor& above, const Tensor& columns, Tensor& grad_weight) {
  const DeformConv& conv = in.conv;
  torch::stable::zero_(grad_weight);
  const Tensor part = torch::stable::empty_like(grad_weight);
  in.for_each_part([&](int64_t first, int64_t end) {
    with_compute_type(in.type, [&](auto zero) {
      using T = decltype(zero);
      gather_part<T>(in, first, end, columns);
      multiply(output_of(conv, end - first).transposed().of(above, conv.groups, first * conv.out_channels),
               columns_of(conv, end - first).of(columns, conv.groups, 0), weight_of(conv).of(part, conv.groups, 0));
      add<T>(part, grad_weight);
    });
  });
}

std::tuple<Tensor, Tensor, Tensor, Tensor> backward(const Tensor& grad, const Tensor& input, const Tensor& offset,
                                                    const std::optional<Tensor>& mask, const Tensor& weight,
                                                    const std::vector<int64_t>& stride,
                                                    const std::vector<int64_t>& padding,
                                                    const std::vector<int64_t>& dilation, int64_t groups,
                                                    int64_t deform_groups, int64_t wanted) {
  const DeformConv conv =
      check_deform_conv(kOp, input, offset, mask, weight, stride, padding, dilation, groups, deform_groups);
  check_deform_conv_grad(kOp, grad, conv, input);
  const Prepared in(conv, input, offset, mask, weight);
  const Tensor above = as_channels_last(grad, in.type);
  const Tensor columns = in.new_columns();
  Gradients gradients(in, wanted);
  if (gradients.weight) {
    differentiate_weight(in, above, columns, *gradients.weight);
  }
  if (gradients.input || gradients.offset || gradients.mask) {
    const Tensor weights = weight_of(conv).of(in.weight, groups, 0);
    in.for_each_part([&](int64_t first, int64_t end) {
      multiply(output_of(conv, end - first).of(above, groups, first * conv.out_channels), weights,
               columns_of(conv, end - first).of(columns, groups, 0));
      with_compute_type(in.type, [&](auto zero) {
        differentiate_part<decltype(zero)>(in, columns, first, end, gradients);
      });
    });
  }
  const auto result = [&](const std::optional<Tensor>& gradient, const Tensor& like) {
    return gradient ? as_contiguous(*gradient, like.scalar_type()) : torch::stable::new_empty(like, {0});
  };
  return {result(gradients.input, input), result(gradients.offset, offset),
          result(gradients.mask, mask ? *mask : offset), result(gradients.weight, weight)};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) {
  library.impl("deform_conv2d", TORCH_BOX(&forward));
  library.impl("deform_conv2d_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
