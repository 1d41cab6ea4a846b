// Multi-scale deformable attention on CUDA; formulas as in cpu/ms_deform_attn.cpp.
//
// What `spatial_shapes` and `level_start_index` say lies on the device: each thread looks at it, and takes the samples of
// a level that does not lie within `value` for zero.
#include "../ms_deform_attn.h"

#include <torch/csrc/stable/library.h>

#include <tuple>
#include <vector>

#include "atomic_add.h"
#include "launch.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "ms_deform_attn";
constexpr int kWarp = 32;
constexpr unsigned int kAllLanes = 0xffffffff;

// Tensors of one call, contiguous; locations and weights in the type that numbers of T are computed in.
template <typename T>
struct Arguments {
  AttentionSizes sizes;
  const T* value;
  const int64_t *spatial_shapes, *level_start_index;
  const Compute<T>*locations, *weights;
};

template <typename C>
struct Gradients {
  const C* output;
  C *value, *locations, *weights;  // null where not wanted
};

template <typename T>
__device__ Level level_of(const Arguments<T>& in, int64_t l) {
  return {in.spatial_shapes[2 * l], in.spatial_shapes[2 * l + 1], in.level_start_index[l]};
}

// One thread for each number of the result: channel i % channels of query and head i / channels.
template <typename T>
__global__ void attend(Arguments<T> in, T* __restrict__ out) {
  using C = Compute<T>;
  const AttentionSizes n = in.sizes;
  const int64_t num_samples = n.num_levels * n.num_points;
  MIMCTL_FOR_EACH(i, n.batch * n.num_queries * n.num_heads * n.num_channels) {
    const int64_t row = i / n.num_channels, image = row / n.num_heads / n.num_queries, head = row % n.num_heads;
    const T* value = in.value + (image * n.num_keys * n.num_heads + head) * n.num_channels + i % n.num_channels;
    C sum = 0;
    for (int64_t l = 0; l < n.num_levels; ++l) {
      const Level level = level_of(in, l);
      if (!lies_within(level, n.num_keys)) {
        continue;
      }
      for (int64_t s = row * num_samples + l * n.num_points; s < row * num_samples + (l + 1) * n.num_points; ++s) {
        LevelSample<C> sample;
        if (!find_sample(level, in.locations[2 * s], in.locations[2 * s + 1], sample)) {
          continue;
        }
        for (int corner = 0; corner < 4; ++corner) {
          if (sample.exists[corner]) {
            const C pixel = static_cast<C>(value[sample.key_of(corner) * n.num_heads * n.num_channels]);
            sum += in.weights[s] * sample.weight_of(corner) * pixel;
          }
        }
      }
    }
    out[i] = static_cast<T>(sum);
  }
}

template <typename C>
__device__ C sum_of_warp(C number) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    number += __shfl_xor_sync(kAllLanes, number, distance);
  }
  return number;
}

// One warp for each query and head; its lanes share the channels. All lanes of a warp take the same branches around
// sum_of_warp.
template <typename T>
__global__ void differentiate(Arguments<T> in, Gradients<Compute<T>> grads) {
  using C = Compute<T>;
  const AttentionSizes n = in.sizes;
  const int64_t lane = threadIdx.x % kWarp, stride = n.num_heads * n.num_channels;
  const int64_t num_rows = n.batch * n.num_queries * n.num_heads;
  const int64_t num_warps = static_cast<int64_t>(gridDim.x) * (blockDim.x / kWarp);
  for (int64_t row = (blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x) / kWarp; row < num_rows;
       row += num_warps) {
    const int64_t image = row / n.num_heads / n.num_queries, head = row % n.num_heads;
    const int64_t origin = (image * n.num_keys * n.num_heads + head) * n.num_channels;
    for (int64_t l = 0; l < n.num_levels; ++l) {
      const Level level = level_of(in, l);
      const bool is_level = lies_within(level, n.num_keys);
      for (int64_t p = 0; p < n.num_points; ++p) {
        const int64_t s = (row * n.num_levels + l) * n.num_points + p;
        const C weight = in.weights[s];
        LevelSample<C> sample;
        C products[4] = {};
        if (is_level && find_sample(level, in.locations[2 * s], in.locations[2 * s + 1], sample)) {
          for (int corner = 0; corner < 4; ++corner) {
            if (!sample.exists[corner]) {
              continue;
            }
            const int64_t offset = origin + sample.key_of(corner) * stride;
            const C share = weight * sample.weight_of(corner);
            for (int64_t c = lane; c < n.num_channels; c += kWarp) {
              const C above = grads.output[row * n.num_channels + c];
              products[corner] += above * static_cast<C>(in.value[offset + c]);
              if (grads.value != nullptr) {
                atomic_add(grads.value + offset + c, share * above);
              }
            }
          }
        } else {
          sample = {};
        }
        const C upper = products[1] - products[0], lower = products[3] - products[2];
        const C left = products[2] - products[0], right = products[3] - products[1];
        const C grad_weight = sum_of_warp((products[0] + sample.right * upper) * (1 - sample.lower) +
                                          (products[2] + sample.right * lower) * sample.lower);
        const C grad_x = sum_of_warp(upper + sample.lower * (lower - upper));
        const C grad_y = sum_of_warp(left + sample.right * (right - left));
        if (lane == 0 && grads.weights != nullptr) {
          grads.weights[s] = grad_weight;
        }
        if (lane == 0 && grads.locations != nullptr) {
          grads.locations[2 * s] = weight * static_cast<C>(level.width) * grad_x;
          grads.locations[2 * s + 1] = weight * static_cast<C>(level.height) * grad_y;
        }
      }
    }
  }
}

// The tensors of a call as `Arguments` needs them.
struct Operands {
  AttentionSizes sizes;
  Tensor value, spatial_shapes, level_start_index, locations, weights;

  template <typename T>
  Arguments<T> arguments() const {
    return {sizes,
            value.const_data_ptr<T>(),
            spatial_shapes.const_data_ptr<int64_t>(),
            level_start_index.const_data_ptr<int64_t>(),
            locations.const_data_ptr<Compute<T>>(),
            weights.const_data_ptr<Compute<T>>()};
  }
};

Operands operands(const Tensor& value, const Tensor& spatial_shapes, const Tensor& level_start_index,
                  const Tensor& sampling_locations, const Tensor& attention_weights) {
  const AttentionSizes sizes = check_attention(kOp, value, spatial_shapes, level_start_index, sampling_locations,
                                               attention_weights);
  const auto type = compute_type(value.scalar_type());
  return {sizes, torch::stable::contiguous(value), torch::stable::contiguous(spatial_shapes),
          torch::stable::contiguous(level_start_index), as_contiguous(sampling_locations, type),
          as_contiguous(attention_weights, type)};
}

Tensor forward(const Tensor& value, const Tensor& spatial_shapes, const Tensor& level_start_index,
               const Tensor& sampling_locations, const Tensor& attention_weights) {
  const Operands in = operands(value, spatial_shapes, level_start_index, sampling_locations, attention_weights);
  const OnDeviceOf device(value);
  const AttentionSizes& n = in.sizes;
  Tensor out = torch::stable::new_empty(in.value, {n.batch, n.num_queries, n.num_heads * n.num_channels});
  const int64_t count = out.numel();
  if (count == 0) {
    return out;
  }
  with_type(value.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    attend<T><<<num_blocks(count), kThreads, 0, device.stream>>>(in.arguments<T>(), out.mutable_data_ptr<T>());
  });
  check_launch(kOp);
  return out;
}

std::tuple<Tensor, Tensor, Tensor> backward(const Tensor& grad, const Tensor& value, const Tensor& spatial_shapes,
                                            const Tensor& level_start_index, const Tensor& sampling_locations,
                                            const Tensor& attention_weights, int64_t wanted) {
  const Operands in = operands(value, spatial_shapes, level_start_index, sampling_locations, attention_weights);
  const AttentionSizes& n = in.sizes;
  check_attention_grad(kOp, grad, value, n);
  const OnDeviceOf device(value);
  const Tensor above = as_contiguous(grad, in.locations.scalar_type());
  const auto sizes_if = [&](int bit, std::vector<int64_t> sizes) {
    return wanted >> bit & 1 ? sizes : std::vector<int64_t>{0};
  };
  Tensor grad_value = torch::stable::new_zeros(
      in.locations, sizes_if(0, {n.batch, n.num_keys, n.num_heads, n.num_channels}));
  Tensor grad_locations = torch::stable::new_empty(
      in.locations, sizes_if(1, {n.batch, n.num_queries, n.num_heads, n.num_levels, n.num_points, 2}));
  Tensor grad_weights = torch::stable::new_empty(
      in.locations, sizes_if(2, {n.batch, n.num_queries, n.num_heads, n.num_levels, n.num_points}));
  if (in.weights.numel() > 0) {
    with_type(value.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      using C = Compute<T>;
      const auto data_if = [&](int bit, Tensor& tensor) {
        return wanted >> bit & 1 ? tensor.mutable_data_ptr<C>() : nullptr;
      };
      const Gradients<C> grads{above.const_data_ptr<C>(), data_if(0, grad_value), data_if(1, grad_locations),
                               data_if(2, grad_weights)};
      const int64_t num_rows = n.batch * n.num_queries * n.num_heads;
      differentiate<T><<<num_blocks(num_rows * kWarp), kThreads, 0, device.stream>>>(in.arguments<T>(), grads);
    });
    check_launch(kOp);
  }
  return {as_contiguous(grad_value, value.scalar_type()),
          as_contiguous(grad_locations, sampling_locations.scalar_type()),
          as_contiguous(grad_weights, attention_weights.scalar_type())};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) {
  library.impl("ms_deform_attn", TORCH_BOX(&forward));
  library.impl("ms_deform_attn_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
