// Sigmoid focal loss on the CPU (Lin et al., "Focal Loss for Dense Object Detection", 2017), forward and backward.
//
// With x the logit of a class that is the target's, and its negative otherwise, p = sigmoid(x), the loss of one number is
// -a (1 - p)^gamma log(p), where a is alpha for the target's class and 1 - alpha for the others.
//
// Nearly all numbers are of classes that are not the target's: a sample's row is done as if all were, in vector code,
// and its target afterwards.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cmath>

#include "../checks.h"
#include "clones.h"
#include "exp_log.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "sigmoid_focal_loss";
constexpr int64_t kGrain = 2048;  // numbers a thread takes at least

template <typename T>
struct Element {
  T value, slope;  // of the loss with respect to the logit
};

template <typename T>
MIMCTL_INLINE Element<T> element(T logit, bool is_target, T gamma, T alpha) {
  const T sign = is_target ? T{1} : T{-1};
  const T x = sign * logit;
  // Everything from one exponential that cannot overflow: p is 1 / (1 + e) or e / (1 + e), and log p, log q likewise.
  const T e = exp_of(-std::abs(x));
  const T larger = 1 / (1 + e), smaller = e * larger, rest = log1p_of_fraction(e);
  const T p = x < 0 ? smaller : larger, q = x < 0 ? larger : smaller;
  const T log_p = (x < 0 ? x : T{0}) - rest, log_q = (x < 0 ? T{0} : -x) - rest;
  const T power = gamma == 2 ? q * q : exp_of(gamma * log_q);  // of q = 1 - p
  const T weight = (is_target ? alpha : 1 - alpha) * power;
  return {-weight * log_p, sign * weight * (gamma * p * log_p - q)};
}

// What happens to a row of numbers, none of them the target's.
#define MIMCTL_DEFINE_ROW(T)                                                                                       \
  MIMCTL_CLONES void row_values(const T* __restrict__ logits, T* __restrict__ out, int64_t count, T gamma, T alpha, \
                                T factor) {                                                                        \
    for (int64_t i = 0; i < count; ++i) {                                                                          \
      out[i] = factor * element<T>(logits[i], false, gamma, alpha).value;                                          \
    }                                                                                                              \
  }                                                                                                                \
  MIMCTL_CLONES void row_slopes(const T* __restrict__ logits, const T* __restrict__ grad, T* __restrict__ out,     \
                                int64_t count, T gamma, T alpha, T factor) {                                       \
    for (int64_t i = 0; i < count; ++i) {                                                                          \
      out[i] = grad[i] * factor * element<T>(logits[i], false, gamma, alpha).slope;                                \
    }                                                                                                              \
  }
MIMCTL_DEFINE_ROW(float)
MIMCTL_DEFINE_ROW(double)
#undef MIMCTL_DEFINE_ROW

struct Inputs {
  Tensor logits, target, weight;
  bool has_weight;
  int64_t num, num_classes;
};

Inputs check(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight) {
  check_dim(kOp, "input", input, 2);
  check_floating(kOp, "input", input);
  check_dim(kOp, "target", target, 1);
  check_size(kOp, "target", target, 0, input.size(0));
  STD_TORCH_CHECK(target.scalar_type() == ScalarType::Long, kOp, ": target must be int64");
  const auto type = compute_type(input.scalar_type());
  Inputs inputs{as_contiguous(input, type), torch::stable::contiguous(target), {}, weight.has_value(),
                input.size(0), input.size(1)};
  if (weight) {
    check_dim(kOp, "weight", *weight, 1);
    check_size(kOp, "weight", *weight, 0, input.size(1));
    check_floating(kOp, "weight", *weight);
    inputs.weight = as_contiguous(*weight, type);
  }
  return inputs;
}

// Call `each(first, count, target, factor)` for parts of rows in parallel: `count` numbers from the flat index `first` on,
// of which `target` is the target's (-1: none); `factor` is the weight of its class.
template <typename T, typename Each>
void for_each_row(const Inputs& in, const Each& each) {
  const int64_t* labels = in.target.const_data_ptr<int64_t>();
  const T* weight = in.has_weight ? in.weight.const_data_ptr<T>() : nullptr;
  torch::stable::parallel_for(0, in.num * in.num_classes, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end;) {
      const int64_t row = first / in.num_classes, start = row * in.num_classes;
      const int64_t stop = std::min(end, start + in.num_classes), label = labels[row];
      const bool is_known = label >= 0 && label < in.num_classes;
      const int64_t target = is_known && start + label >= first && start + label < stop ? start + label - first : -1;
      each(first, stop - first, target, is_known && weight != nullptr ? weight[label] : T{1});
      first = stop;
    }
  });
}

Tensor forward(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight, double gamma,
               double alpha) {
  const Inputs in = check(input, target, weight);
  Tensor loss = torch::stable::new_empty(in.logits, {in.num, in.num_classes});
  with_compute_type(in.logits.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    const T g = static_cast<T>(gamma), a = static_cast<T>(alpha);
    const T* logits = in.logits.const_data_ptr<T>();
    T* out = loss.mutable_data_ptr<T>();
    for_each_row<T>(in, [&](int64_t first, int64_t count, int64_t target, T factor) {
      row_values(logits + first, out + first, count, g, a, factor);
      if (target >= 0) {
        out[first + target] = factor * element<T>(logits[first + target], true, g, a).value;
      }
    });
  });
  return as_contiguous(loss, input.scalar_type());
}

Tensor backward(const Tensor& grad, const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                double gamma, double alpha, int64_t) {
  const Inputs in = check(input, target, weight);
  check_dim(kOp, "grad", grad, 2);
  check_size(kOp, "grad", grad, 0, in.num);
  check_size(kOp, "grad", grad, 1, in.num_classes);
  const Tensor grad_data = as_contiguous(grad, in.logits.scalar_type());
  Tensor result = torch::stable::new_empty(in.logits, {in.num, in.num_classes});
  with_compute_type(in.logits.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    const T g = static_cast<T>(gamma), a = static_cast<T>(alpha);
    const T *logits = in.logits.const_data_ptr<T>(), *above = grad_data.const_data_ptr<T>();
    T* out = result.mutable_data_ptr<T>();
    for_each_row<T>(in, [&](int64_t first, int64_t count, int64_t target, T factor) {
      row_slopes(logits + first, above + first, out + first, count, g, a, factor);
      if (target >= 0) {
        const int64_t i = first + target;
        out[i] = above[i] * factor * element<T>(logits[i], true, g, a).slope;
      }
    });
  });
  return as_contiguous(result, input.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) {
  library.impl("sigmoid_focal_loss", TORCH_BOX(&forward));
  library.impl("sigmoid_focal_loss_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
