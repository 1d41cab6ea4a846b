// Deformable convolution (Dai et al., "Deformable Convolutional Networks", 2017, and Zhu et al., "Deformable ConvNets
// v2", 2019): all but the loops over samples, which are another matter on CPU and CUDA.
//
// The samples are gathered into columns, one row a place of the output, and the rows multiplied with the weight. Images,
// weight and output have their channels last in memory, so that the channels of a sample lie side by side; a row holds
// the groups of the weight one after the other, in a group the taps of the kernel, at a tap the channels of the group.
// Rows are made a part at a time, so that their memory has a bound that does not grow with the images.
#pragma once

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include "checks.h"
#include "host_device.h"

namespace mimctl_ops {

struct DeformConv {
  int64_t batch, channels, height, width;  // of the input
  int64_t out_channels, out_h, out_w, kernel_h, kernel_w;
  int64_t stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int64_t groups, deform_groups;

  MIMCTL_HOST_DEVICE int64_t taps() const { return kernel_h * kernel_w; }
  MIMCTL_HOST_DEVICE int64_t places() const { return out_h * out_w; }  // of the output of one image
  MIMCTL_HOST_DEVICE int64_t rows() const { return batch * places(); }
  MIMCTL_HOST_DEVICE int64_t row_size() const { return taps() * channels; }
  MIMCTL_HOST_DEVICE int64_t group_size() const { return channels / groups; }
  MIMCTL_HOST_DEVICE int64_t deform_group_size() const { return channels / deform_groups; }
};

// The four pixels around a sampling point, top left, top right, bottom left, bottom right, and how far the point lies
// below and right of the first.
template <typename T>
struct SamplingPoint {
  int64_t at[4];  // y * width + x; -1 where there is no such pixel
  T below, right;

  MIMCTL_HOST_DEVICE T weight(int corner) const {
    return (corner < 2 ? 1 - below : below) * (corner % 2 == 0 ? 1 - right : right);
  }

  // What lies at the point, and how it grows downwards and to the right, from what the corners hold.
  MIMCTL_HOST_DEVICE T value(const T* corners) const {
    return (weight(0) * corners[0] + weight(1) * corners[1]) + (weight(2) * corners[2] + weight(3) * corners[3]);
  }
  MIMCTL_HOST_DEVICE T slope_y(const T* corners) const {
    return (corners[2] - corners[0]) * (1 - right) + (corners[3] - corners[1]) * right;
  }
  MIMCTL_HOST_DEVICE T slope_x(const T* corners) const {
    return (corners[1] - corners[0]) * (1 - below) + (corners[3] - corners[2]) * below;
  }
};

// A point one pixel or more outside the image has no pixels around it; nor has NaN.
template <typename T>
MIMCTL_HOST_DEVICE SamplingPoint<T> sampling_point(const DeformConv& conv, T y, T x) {
  if (!(y > -1 && x > -1 && y < static_cast<T>(conv.height) && x < static_cast<T>(conv.width))) {
    return {{-1, -1, -1, -1}, 0, 0};
  }
  const T top = std::floor(y), left = std::floor(x);
  const int64_t y0 = static_cast<int64_t>(top), x0 = static_cast<int64_t>(left);
  const int64_t first = y0 * conv.width + x0;
  const bool has_top = y0 >= 0 && y0 < conv.height, has_bottom = y0 + 1 < conv.height;
  const bool has_left = x0 >= 0 && x0 < conv.width, has_right = x0 + 1 < conv.width;
  return {{has_top && has_left ? first : -1, has_top && has_right ? first + 1 : -1,
           has_bottom && has_left ? first + conv.width : -1, has_bottom && has_right ? first + conv.width + 1 : -1},
          y - top, x - left};
}

// What deforms one tap of one deform group at one place of the output.
template <typename T>
struct Deformation {
  SamplingPoint<T> point;
  T mask;
};

template <typename T>
MIMCTL_HOST_DEVICE Deformation<T> deformation_at(const DeformConv& conv, const T* offset, const T* mask, int64_t row,
                                                 int64_t deform_group, int64_t tap) {
  const int64_t places = conv.places(), image = row / places, place = row % places;
  const int64_t plane = (image * conv.deform_groups + deform_group) * conv.taps() + tap;
  const int64_t y = place / conv.out_w * conv.stride_h - conv.padding_h + tap / conv.kernel_w * conv.dilation_h;
  const int64_t x = place % conv.out_w * conv.stride_w - conv.padding_w + tap % conv.kernel_w * conv.dilation_w;
  return {sampling_point(conv, static_cast<T>(y) + offset[2 * plane * places + place],
                         static_cast<T>(x) + offset[(2 * plane + 1) * places + place]),
          mask == nullptr ? T{1} : mask[plane * places + place]};
}

// ---------------------------------------------------------------------------------------------------------------------
// Checks

constexpr int64_t kMostPixels = (int64_t{1} << 31) - 1;  // a side; products of two such numbers still fit

inline void check_deform_conv_pair(const char* op, const char* name, const std::vector<int64_t>& pair, int64_t least) {
  STD_TORCH_CHECK(pair.size() == 2 && std::min(pair[0], pair[1]) >= least && std::max(pair[0], pair[1]) <= kMostPixels,
                  op, ": ", name, " must be two numbers from ", least, " to ", kMostPixels);
}

inline void check_output_size(const char* op, const Tensor& offset, int64_t dim, int64_t size, int64_t padding,
                              int64_t kernel, int64_t dilation, int64_t stride) {
  STD_TORCH_CHECK(kernel > 0, op, ": weight must have a kernel");
  STD_TORCH_CHECK(size <= kMostPixels - 2 * padding, op, ": input must have at most ", kMostPixels,
                  " pixels a side, padding included");
  const int64_t room = size + 2 * padding - dilation * (kernel - 1) - 1;
  STD_TORCH_CHECK(kernel <= kMostPixels && room >= 0, op, ": input must not be smaller than the dilated kernel");
  check_size(op, "offset", offset, dim, room / stride + 1);
}

inline DeformConv check_deform_conv(const char* op, const Tensor& input, const Tensor& offset,
                                    const std::optional<Tensor>& mask, const Tensor& weight,
                                    const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
                                    const std::vector<int64_t>& dilation, int64_t groups, int64_t deform_groups) {
  check_dim(op, "input", input, 4);
  check_dim(op, "offset", offset, 4);
  check_dim(op, "weight", weight, 4);
  check_floating(op, "input", input);
  check_floating(op, "offset", offset);
  check_floating(op, "weight", weight);
  check_same_device(op, "offset", offset, input);
  check_same_device(op, "weight", weight, input);
  check_deform_conv_pair(op, "stride", stride, 1);
  check_deform_conv_pair(op, "padding", padding, 0);
  check_deform_conv_pair(op, "dilation", dilation, 1);
  const int64_t channels = input.size(1);
  STD_TORCH_CHECK(std::max(channels, weight.size(0)) <= kMostPixels, op, ": input and weight must have at most ",
                  kMostPixels, " channels");
  STD_TORCH_CHECK(groups > 0 && channels % groups == 0 && weight.size(0) % groups == 0, op,
                  ": groups must divide the channels of input and weight");
  STD_TORCH_CHECK(deform_groups > 0 && channels % deform_groups == 0, op,
                  ": deform_groups must divide the channels of input");
  check_size(op, "weight", weight, 1, channels / groups);
  for (int64_t dim = 2; dim < 4; ++dim) {
    check_output_size(op, offset, dim, input.size(dim), padding[dim - 2], weight.size(dim), dilation[dim - 2],
                      stride[dim - 2]);
  }
  const DeformConv conv{input.size(0),   channels,        input.size(2),   input.size(3),   weight.size(0), offset.size(2),
                        offset.size(3),  weight.size(2),  weight.size(3),  stride[0],       stride[1],      padding[0],
                        padding[1],      dilation[0],     dilation[1],     groups,          deform_groups};
  check_size(op, "offset", offset, 0, conv.batch);
  STD_TORCH_CHECK(conv.taps() <= kMostPixels, op, ": weight must have at most ", kMostPixels, " taps");
  STD_TORCH_CHECK(offset.size(1) % 2 == 0 && offset.size(1) / 2 % conv.taps() == 0 &&
                      offset.size(1) / 2 / conv.taps() == deform_groups,
                  op, ": offset must have 2 * deform_groups * kernel height * kernel width channels");
  if (mask) {
    check_dim(op, "mask", *mask, 4);
    check_floating(op, "mask", *mask);
    check_same_device(op, "mask", *mask, input);
    check_size(op, "mask", *mask, 0, conv.batch);
    check_size(op, "mask", *mask, 1, offset.size(1) / 2);
    check_size(op, "mask", *mask, 2, conv.out_h);
    check_size(op, "mask", *mask, 3, conv.out_w);
  }
  return conv;
}

inline void check_deform_conv_grad(const char* op, const Tensor& grad, const DeformConv& conv, const Tensor& input) {
  check_dim(op, "grad", grad, 4);
  check_floating(op, "grad", grad);
  check_same_device(op, "grad", grad, input);
  check_size(op, "grad", grad, 0, conv.batch);
  check_size(op, "grad", grad, 1, conv.out_channels);
  check_size(op, "grad", grad, 2, conv.out_h);
  check_size(op, "grad", grad, 3, conv.out_w);
}

// ---------------------------------------------------------------------------------------------------------------------
// Memory and products

// Return the tensor as numbers of `type` with the channels last in memory, itself where it is that already.
inline Tensor as_channels_last(const Tensor& tensor, ScalarType type) {
  return torch::stable::contiguous(tensor.scalar_type() == type ? tensor : torch::stable::to(tensor, type),
                                   torch::headeronly::MemoryFormat::ChannelsLast);
}

inline Tensor empty_channels_last(const Tensor& like, ScalarType type, const std::vector<int64_t>& sizes) {
  return torch::stable::empty(sizes, type, std::nullopt, like.device(), std::nullopt,
                              torch::headeronly::MemoryFormat::ChannelsLast);
}

// A view of one matrix for each group.
struct Matrices {
  int64_t height, width;
  int64_t group_stride, row_stride, column_stride;

  Tensor of(const Tensor& owner, int64_t groups, int64_t first) const {
    char* data = static_cast<char*>(owner.data_ptr()) + first * static_cast<int64_t>(owner.element_size());
    return torch::stable::from_blob(data, {groups, height, width}, {group_stride, row_stride, column_stride},
                                    owner.device(), owner.scalar_type());
  }

  Matrices transposed() const { return {width, height, group_stride, column_stride, row_stride}; }
};

// Rows of the columns, of the output with channels last, and the weight with channels last, group by group.
inline Matrices columns_of(const DeformConv& conv, int64_t rows) {
  const int64_t width = conv.taps() * conv.group_size();
  return {rows, width, width, conv.row_size(), 1};
}

inline Matrices output_of(const DeformConv& conv, int64_t rows) {
  const int64_t width = conv.out_channels / conv.groups;
  return {rows, width, width, conv.out_channels, 1};
}

inline Matrices weight_of(const DeformConv& conv) {
  const int64_t height = conv.out_channels / conv.groups, width = conv.taps() * conv.group_size();
  return {height, width, height * width, width, 1};
}

// out = first x second for each group. (`matmul` would allocate, and under autocast compute in another type.)
inline void multiply(const Tensor& first, const Tensor& second, const Tensor& out) {
  std::array<StableIValue, 3> stack{torch::stable::detail::from(first), torch::stable::detail::from(second),
                                    torch::stable::detail::from(out)};
  STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::bmm", "out", stack.data(), TORCH_ABI_VERSION));
  torch::stable::detail::to<Tensor>(stack[0]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Forward and backward

// The arguments, laid out for the loops.
struct DeformConvInputs {
  DeformConv conv;
  ScalarType type, sum_type;  // of images, weight and columns; of offsets, mask, and what is summed up number by number
  Tensor input, offset, mask, weight;
  bool has_mask;
  int64_t num_at_a_time;  // rows

  DeformConvInputs(const DeformConv& checked, const Tensor& in, const Tensor& offsets,
                   const std::optional<Tensor>& masks, const Tensor& weights, ScalarType stored, int64_t bytes)
      : conv(checked),
        type(stored),
        sum_type(compute_type(stored)),
        input(as_channels_last(in, type)),
        offset(as_contiguous(offsets, sum_type)),
        weight(as_channels_last(weights, type)),
        has_mask(masks.has_value()) {
    if (has_mask) {
      mask = as_contiguous(*masks, sum_type);
    }
    const int64_t row_bytes = std::max<int64_t>(conv.row_size(), 1) * static_cast<int64_t>(input.element_size());
    num_at_a_time = std::min(conv.rows(), std::max<int64_t>(1, bytes / row_bytes));
  }

  Tensor new_columns() const { return torch::stable::new_empty(input, {num_at_a_time, conv.row_size()}, type); }

  // Call `each(first, end)` for one part of the rows after the other.
  template <typename Each>
  void for_each_part(const Each& each) const {
    for (int64_t first = 0; first < conv.rows(); first += num_at_a_time) {
      each(first, std::min(conv.rows(), first + num_at_a_time));
    }
  }
};

// The gradients that are wanted, of the type that is summed in; those of input and weight have their channels last.
struct DeformConvGradients {
  std::optional<Tensor> input, offset, mask, weight;

  DeformConvGradients(const DeformConvInputs& in, int64_t wanted) {
    const DeformConv& conv = in.conv;
    if (wanted & 1) {
      input = empty_channels_last(in.input, in.sum_type, {conv.batch, conv.channels, conv.height, conv.width});
      torch::stable::zero_(*input);
    }
    if (wanted & 2) {
      offset = torch::stable::empty_like(in.offset);
    }
    if (wanted & 4 && in.has_mask) {
      mask = torch::stable::empty_like(in.mask);
    }
    if (wanted & 8) {
      weight = empty_channels_last(in.input, in.sum_type,
                                   {conv.out_channels, conv.group_size(), conv.kernel_h, conv.kernel_w});
      torch::stable::zero_(*weight);
    }
  }
};

template <typename T>
T* data_of(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->mutable_data_ptr<T>() : nullptr;
}

// `Loops` is made of the input, once all arguments are checked, and has
//   kBytesAtATime                                 of columns
//   stored_type(type)                             that images, weight and columns have for an input of `type`
//   gather(in, first, end, columns)               fill the rows first … end
//   differentiate(in, grad_columns, first, end, gradients)   what these rows give to input, offset and mask
//   add(part, sum)                                number by number
template <typename Loops>
Tensor deform_conv2d_forward(const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask,
                             const Tensor& weight, const std::vector<int64_t>& stride,
                             const std::vector<int64_t>& padding, const std::vector<int64_t>& dilation, int64_t groups,
                             int64_t deform_groups) {
  const DeformConv conv = check_deform_conv("deform_conv2d", input, offset, mask, weight, stride, padding, dilation,
                                            groups, deform_groups);
  const Loops loops(input);
  const DeformConvInputs in(conv, input, offset, mask, weight, Loops::stored_type(input.scalar_type()),
                            Loops::kBytesAtATime);
  const Tensor out = empty_channels_last(input, in.type, {conv.batch, conv.out_channels, conv.out_h, conv.out_w});
  const Tensor columns = in.new_columns(), weights = weight_of(conv).transposed().of(in.weight, groups, 0);
  in.for_each_part([&](int64_t first, int64_t end) {
    loops.gather(in, first, end, columns);
    multiply(columns_of(conv, end - first).of(columns, groups, 0), weights,
             output_of(conv, end - first).of(out, groups, first * conv.out_channels));
  });
  return as_contiguous(out, input.scalar_type());
}

// The sum over the parts of (gradient of the output)^T x columns.
template <typename Loops>
void differentiate_weight(const Loops& loops, const DeformConvInputs& in, const Tensor& above, const Tensor& columns,
                          const Tensor& grad_weight) {
  const DeformConv& conv = in.conv;
  const Tensor part = torch::stable::new_empty(in.weight, {grad_weight.numel()}, in.type);
  in.for_each_part([&](int64_t first, int64_t end) {
    loops.gather(in, first, end, columns);
    multiply(output_of(conv, end - first).transposed().of(above, conv.groups, first * conv.out_channels),
             columns_of(conv, end - first).of(columns, conv.groups, 0), weight_of(conv).of(part, conv.groups, 0));
    loops.add(part, grad_weight);
  });
}

template <typename Loops>
std::tuple<Tensor, Tensor, Tensor, Tensor> deform_conv2d_backward(
    const Tensor& grad, const Tensor& input, const Tensor& offset, const std::optional<Tensor>& mask,
    const Tensor& weight, const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
    const std::vector<int64_t>& dilation, int64_t groups, int64_t deform_groups, int64_t wanted) {
  const DeformConv conv = check_deform_conv("deform_conv2d", input, offset, mask, weight, stride, padding, dilation,
                                            groups, deform_groups);
  check_deform_conv_grad("deform_conv2d", grad, conv, input);
  const Loops loops(input);
  const DeformConvInputs in(conv, input, offset, mask, weight, Loops::stored_type(input.scalar_type()),
                            Loops::kBytesAtATime);
  const Tensor above = as_channels_last(grad, in.type), columns = in.new_columns();
  const DeformConvGradients gradients(in, wanted);
  if (gradients.weight) {
    differentiate_weight(loops, in, above, columns, *gradients.weight);
  }
  if (gradients.input || gradients.offset || gradients.mask) {
    const Tensor weights = weight_of(conv).of(in.weight, groups, 0);
    in.for_each_part([&](int64_t first, int64_t end) {
      multiply(output_of(conv, end - first).of(above, groups, first * conv.out_channels), weights,
               columns_of(conv, end - first).of(columns, groups, 0));
      loops.differentiate(in, columns, first, end, gradients);
    });
  }
  const auto result = [&](const std::optional<Tensor>& gradient, const Tensor& like) {
    return gradient ? as_contiguous(*gradient, like.scalar_type()) : torch::stable::new_empty(like, {0});
  };
  return {result(gradients.input, input), result(gradients.offset, offset),
          result(gradients.mask, mask ? *mask : offset), result(gradients.weight, weight)};
}

}  // namespace mimctl_ops
