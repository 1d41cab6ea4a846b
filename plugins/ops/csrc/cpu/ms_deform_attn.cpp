// Multi-scale deformable attention on the CPU (Zhu et al., "Deformable DETR", 2021), forward and backward.
//
// Each query and head reads a few places of every level by bilinear interpolation and adds them up by weight. The channels
// of a head lie side by side, so they are what is vectorised. Threads never write the same numbers: forward splits the
// queries and heads; backward splits images, heads and levels, whose parts of every gradient are disjoint.
#include "../ms_deform_attn.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "clones.h"
#include "vectors.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "ms_deform_attn";
constexpr int64_t kGrain = 1024;  // samples a thread takes at least
constexpr int64_t kVectors = 4;   // that are summed up in registers at once

// Tensors of one call, contiguous. Row i of `value` and `grad_value` is key i / heads, head i % heads.
template <typename T>
struct Arguments {
  AttentionSizes sizes;
  std::vector<Level> levels;
  const T *value, *locations, *weights;
};

template <typename T>
struct Gradients {
  const T* output;
  T *value, *locations, *weights;  // null where not wanted
};

// The existing pixels that one query and head reads: offset in `value` and weight.
template <typename T>
struct Pixels {
  std::vector<int64_t> offsets;
  std::vector<T> weights;
  int64_t count = 0;

  explicit Pixels(int64_t num_samples) : offsets(4 * num_samples + 4), weights(4 * num_samples + 4) {}
};

template <typename T>
inline __attribute__((always_inline)) void find_pixels(const Arguments<T>& in, int64_t head, const T* locations,
                                                       const T* weights, Pixels<T>& pixels) {
  int64_t* const __restrict__ offsets = pixels.offsets.data();
  T* const __restrict__ shares = pixels.weights.data();
  int64_t count = 0;
  for (const Level& level : in.levels) {
    for (int64_t p = 0; p < in.sizes.num_points; ++p, locations += 2, ++weights) {
      LevelSample<T> sample;
      if (!find_sample(level, locations[0], locations[1], sample)) {
        continue;
      }
      for (int corner = 0; corner < 4; ++corner) {  // without a branch: written always, counted where it exists
        offsets[count] = (sample.key_of(corner) * in.sizes.num_heads + head) * in.sizes.num_channels;
        shares[count] = *weights * sample.weight_of(corner);
        count += sample.exists[corner];
      }
    }
  }
  pixels.count = count;
}

// Write the weighted sum of channels `c` to `c + num * kWidth` of some pixels.
template <int num, typename T>
inline __attribute__((always_inline)) void sum_channels(const T* value, const Pixels<T>& pixels, T* out) {
  Vector<T> sums[num] = {};
  const int64_t* const __restrict__ offsets = pixels.offsets.data();
  const T* const __restrict__ weights = pixels.weights.data();
  for (int64_t i = 0; i < pixels.count; ++i) {
    const T* const row = value + offsets[i];
    for (int v = 0; v < num; ++v) {
      sums[v] += weights[i] * vector_at(row + v * kWidth<T>);
    }
  }
  for (int v = 0; v < num; ++v) {
    vector_at(out + v * kWidth<T>) = sums[v];
  }
}

template <typename T>
inline __attribute__((always_inline)) void attend_range(const Arguments<T>& in, Pixels<T>& pixels, int64_t begin,
                                                        int64_t end, T* out) {
  const AttentionSizes& n = in.sizes;
  const int64_t num_samples = n.num_levels * n.num_points;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t image = i / n.num_heads / n.num_queries, head = i % n.num_heads;
    const T* const value = in.value + image * n.num_keys * n.num_heads * n.num_channels;
    find_pixels(in, head, in.locations + i * num_samples * 2, in.weights + i * num_samples, pixels);
    T* const row = out + i * n.num_channels;
    int64_t c = 0;
    for (; c + kVectors * kWidth<T> <= n.num_channels; c += kVectors * kWidth<T>) {
      sum_channels<kVectors>(value + c, pixels, row + c);
    }
    for (; c + kWidth<T> <= n.num_channels; c += kWidth<T>) {
      sum_channels<1>(value + c, pixels, row + c);
    }
    for (; c < n.num_channels; ++c) {
      T sum = 0;
      for (int64_t k = 0; k < pixels.count; ++k) {
        sum += pixels.weights[k] * value[pixels.offsets[k] + c];
      }
      row[c] = sum;
    }
  }
}

template <typename T>
inline __attribute__((always_inline)) T sum_of(const Vector<T>& vector) {
  T sum = 0;
  for (int64_t k = 0; k < kWidth<T>; k += 2) {
    sum += vector[k] + vector[k + 1];
  }
  return sum;
}

// What a thread has in place of pixels that do not exist: channels to read, all zero, and some to write that nobody reads.
template <typename T>
struct Nowhere {
  std::vector<T> zeros, sink;

  explicit Nowhere(int64_t num_channels) : zeros(num_channels), sink(num_channels) {}
};

// The four pixels of one sample, and the gradients of its weight and place.
template <typename T>
struct Around {
  const T* value[4];
  T* grad[4];
  T share[4];
};

template <typename T>
struct SampleGradient {
  T weight, x, y;
};

// Add each pixel's `share` of the gradient `above` to its own, where `writes`; return the sample's gradient for a weight
// of one and a level of one by one.
template <bool writes, typename T>
inline __attribute__((always_inline)) SampleGradient<T> pass_back(int64_t num_channels, const Around<T>& around,
                                                                  T right, T lower, const T* above) {
  const T *const pixel0 = around.value[0], *const pixel1 = around.value[1], *const pixel2 = around.value[2],
                 *const pixel3 = around.value[3];
  T *const grad0 = around.grad[0], *const grad1 = around.grad[1], *const grad2 = around.grad[2],
           *const grad3 = around.grad[3];
  const T share0 = around.share[0], share1 = around.share[1], share2 = around.share[2], share3 = around.share[3];
  Vector<T> products0 = {}, products1 = {}, products2 = {}, products3 = {};
  int64_t c = 0;
  for (; c + kWidth<T> <= num_channels; c += kWidth<T>) {
    const Vector<T> grads = vector_at(above + c);
    products0 += grads * vector_at(pixel0 + c);
    products1 += grads * vector_at(pixel1 + c);
    products2 += grads * vector_at(pixel2 + c);
    products3 += grads * vector_at(pixel3 + c);
    if (writes) {
      vector_at(grad0 + c) += share0 * grads;
      vector_at(grad1 + c) += share1 * grads;
      vector_at(grad2 + c) += share2 * grads;
      vector_at(grad3 + c) += share3 * grads;
    }
  }
  T product0 = sum_of<T>(products0), product1 = sum_of<T>(products1), product2 = sum_of<T>(products2),
    product3 = sum_of<T>(products3);
  for (; c < num_channels; ++c) {
    product0 += above[c] * pixel0[c];
    product1 += above[c] * pixel1[c];
    product2 += above[c] * pixel2[c];
    product3 += above[c] * pixel3[c];
    if (writes) {
      grad0[c] += share0 * above[c];
      grad1[c] += share1 * above[c];
      grad2[c] += share2 * above[c];
      grad3[c] += share3 * above[c];
    }
  }
  const T in_upper = product1 - product0, in_lower = product3 - product2;
  const T in_left = product2 - product0, in_right = product3 - product1;
  return {(product0 + right * in_upper) * (1 - lower) + (product2 + right * in_lower) * lower,
          in_upper + lower * (in_lower - in_upper), in_left + right * (in_right - in_left)};
}

// All gradients that come through the samples of query `i` / heads and head `i` % heads in one level.
template <bool writes, typename T>
inline __attribute__((always_inline)) void differentiate_samples(const Arguments<T>& in, const Gradients<T>& grads,
                                                                 Nowhere<T>& nowhere, int64_t i, int64_t l) {
  const AttentionSizes& n = in.sizes;
  const Level& level = in.levels[l];
  const int64_t stride = n.num_heads * n.num_channels, head = i % n.num_heads, image = i / n.num_heads / n.num_queries;
  const int64_t origin = image * n.num_keys * stride + head * n.num_channels;
  const int64_t first = (i * n.num_levels + l) * n.num_points;
  for (int64_t s = first; s < first + n.num_points; ++s) {
    const T weight = in.weights[s];
    SampleGradient<T> gradient = {};
    LevelSample<T> sample;
    if (find_sample(level, in.locations[2 * s], in.locations[2 * s + 1], sample)) {
      Around<T> around;
      for (int k = 0; k < 4; ++k) {
        const int64_t offset = origin + sample.key_of(k) * stride;
        around.value[k] = sample.exists[k] ? in.value + offset : nowhere.zeros.data();
        around.grad[k] = writes && sample.exists[k] ? grads.value + offset : nowhere.sink.data();
        around.share[k] = weight * sample.weight_of(k);
      }
      gradient = pass_back<writes>(n.num_channels, around, sample.right, sample.lower,
                                   grads.output + i * n.num_channels);
    }
    if (grads.weights != nullptr) {
      grads.weights[s] = gradient.weight;
    }
    if (grads.locations != nullptr) {
      grads.locations[2 * s] = weight * static_cast<T>(level.width) * gradient.x;
      grads.locations[2 * s + 1] = weight * static_cast<T>(level.height) * gradient.y;
    }
  }
}

// The gradients of parts begin..end, each a level of a head of an image. The queries of an image come one after the
// other, because neighbours read the same pixels.
template <typename T>
inline __attribute__((always_inline)) void differentiate_range(const Arguments<T>& in, const Gradients<T>& grads,
                                                               int64_t begin, int64_t end) {
  const AttentionSizes& n = in.sizes;
  const int64_t num_parts = n.num_heads * n.num_levels;  // of an image
  Nowhere<T> nowhere(n.num_channels);
  for (int64_t image = begin / num_parts; image * num_parts < end; ++image) {
    const int64_t first = std::max<int64_t>(begin - image * num_parts, 0);
    const int64_t last = std::min(end - image * num_parts, num_parts);
    for (int64_t q = 0; q < n.num_queries; ++q) {
      for (int64_t part = first; part < last; ++part) {
        const int64_t i = (image * n.num_queries + q) * n.num_heads + part / n.num_levels;
        if (grads.value != nullptr) {
          differentiate_samples<true>(in, grads, nowhere, i, part % n.num_levels);
        } else {
          differentiate_samples<false>(in, grads, nowhere, i, part % n.num_levels);
        }
      }
    }
  }
}

MIMCTL_CLONES void attend(const Arguments<float>& in, Pixels<float>& pixels, int64_t begin, int64_t end, float* out) {
  attend_range(in, pixels, begin, end, out);
}

MIMCTL_CLONES void attend(const Arguments<double>& in, Pixels<double>& pixels, int64_t begin, int64_t end,
                          double* out) {
  attend_range(in, pixels, begin, end, out);
}

MIMCTL_CLONES void differentiate(const Arguments<float>& in, const Gradients<float>& grads, int64_t begin,
                                 int64_t end) {
  differentiate_range(in, grads, begin, end);
}

MIMCTL_CLONES void differentiate(const Arguments<double>& in, const Gradients<double>& grads, int64_t begin,
                                 int64_t end) {
  differentiate_range(in, grads, begin, end);
}

// Read the levels; raise unless each begins where the one before ends and the last ends with `value`.
std::vector<Level> read_levels(const Tensor& spatial_shapes, const Tensor& level_start_index, int64_t num_keys) {
  const Tensor shapes = torch::stable::contiguous(spatial_shapes), starts = torch::stable::contiguous(level_start_index);
  const int64_t* const shape = shapes.const_data_ptr<int64_t>();
  const int64_t* const start = starts.const_data_ptr<int64_t>();
  std::vector<Level> levels;
  int64_t next = 0;
  for (int64_t l = 0; l < shapes.size(0); ++l) {
    const Level level{shape[2 * l], shape[2 * l + 1], next};
    STD_TORCH_CHECK(lies_within(level, num_keys), kOp, ": spatial_shapes has a level of ", level.height, " x ",
                    level.width, " where value has ", num_keys - next, " keys left");
    STD_TORCH_CHECK(start[l] == next, kOp, ": level_start_index must be ", next, " for level ", l, ", not ", start[l]);
    next += level.height * level.width;
    levels.push_back(level);
  }
  STD_TORCH_CHECK(next == num_keys, kOp, ": spatial_shapes has ", next, " pixels, but value has ", num_keys, " keys");
  return levels;
}

Tensor forward(const Tensor& value, const Tensor& spatial_shapes, const Tensor& level_start_index,
               const Tensor& sampling_locations, const Tensor& attention_weights) {
  const AttentionSizes n = check_attention(kOp, value, spatial_shapes, level_start_index, sampling_locations,
                                           attention_weights);
  const auto type = compute_type(value.scalar_type());
  const Tensor values = as_contiguous(value, type), locations = as_contiguous(sampling_locations, type),
               weights = as_contiguous(attention_weights, type);
  std::vector<Level> levels = read_levels(spatial_shapes, level_start_index, n.num_keys);
  Tensor out = torch::stable::new_empty(values, {n.batch, n.num_queries, n.num_heads * n.num_channels});
  with_compute_type(type, [&](auto zero) {
    using T = decltype(zero);
    const Arguments<T> in{n, std::move(levels), values.const_data_ptr<T>(), locations.const_data_ptr<T>(),
                          weights.const_data_ptr<T>()};
    T* const data = out.mutable_data_ptr<T>();
    const int64_t num_samples = std::max<int64_t>(n.num_levels * n.num_points, 1);
    const int64_t grain = std::max<int64_t>(kGrain / num_samples, 1);
    torch::stable::parallel_for(0, n.batch * n.num_queries * n.num_heads, grain, [&](int64_t begin, int64_t end) {
      Pixels<T> pixels(num_samples);
      attend(in, pixels, begin, end, data);
    });
  });
  return as_contiguous(out, value.scalar_type());
}

std::tuple<Tensor, Tensor, Tensor> backward(const Tensor& grad, const Tensor& value, const Tensor& spatial_shapes,
                                            const Tensor& level_start_index, const Tensor& sampling_locations,
                                            const Tensor& attention_weights, int64_t wanted) {
  const AttentionSizes n = check_attention(kOp, value, spatial_shapes, level_start_index, sampling_locations,
                                           attention_weights);
  check_attention_grad(kOp, grad, value, n);
  const auto type = compute_type(value.scalar_type());
  const Tensor values = as_contiguous(value, type), locations = as_contiguous(sampling_locations, type),
               weights = as_contiguous(attention_weights, type), above = as_contiguous(grad, type);
  std::vector<Level> levels = read_levels(spatial_shapes, level_start_index, n.num_keys);
  const auto sizes_if = [&](int bit, std::vector<int64_t> sizes) {
    return wanted >> bit & 1 ? sizes : std::vector<int64_t>{0};
  };
  Tensor grad_value = torch::stable::new_zeros(
      values, sizes_if(0, {n.batch, n.num_keys, n.num_heads, n.num_channels}));
  Tensor grad_locations = torch::stable::new_empty(
      values, sizes_if(1, {n.batch, n.num_queries, n.num_heads, n.num_levels, n.num_points, 2}));
  Tensor grad_weights = torch::stable::new_empty(
      values, sizes_if(2, {n.batch, n.num_queries, n.num_heads, n.num_levels, n.num_points}));
  with_compute_type(type, [&](auto zero) {
    using T = decltype(zero);
    const Arguments<T> in{n, std::move(levels), values.const_data_ptr<T>(), locations.const_data_ptr<T>(),
                          weights.const_data_ptr<T>()};
    const auto data_if = [&](int bit, Tensor& tensor) {
      return wanted >> bit & 1 ? tensor.mutable_data_ptr<T>() : nullptr;
    };
    const Gradients<T> grads{above.const_data_ptr<T>(), data_if(0, grad_value), data_if(1, grad_locations),
                             data_if(2, grad_weights)};
    const int64_t grain = std::max<int64_t>(kGrain / std::max<int64_t>(n.num_queries * n.num_points, 1), 1);
    torch::stable::parallel_for(0, n.batch * n.num_heads * n.num_levels, grain,
                                [&](int64_t begin, int64_t end) { differentiate(in, grads, begin, end); });
  });
  return {as_contiguous(grad_value, value.scalar_type()),
          as_contiguous(grad_locations, sampling_locations.scalar_type()),
          as_contiguous(grad_weights, attention_weights.scalar_type())};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) {
  library.impl("ms_deform_attn", TORCH_BOX(&forward));
  library.impl("ms_deform_attn_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
