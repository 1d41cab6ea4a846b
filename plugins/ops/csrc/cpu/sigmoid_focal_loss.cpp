// Sigmoid focal loss on the CPU (Lin et al., "Focal Loss for Dense Object Detection", 2017), forward and backward.
//
// With x the logit of a class that is the target's, and its negative otherwise, p = sigmoid(x), the loss of one number is
// -a (1 - p)^gamma log(p), where a is alpha for the target's class and 1 - alpha for the others.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cmath>

#include "../checks.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "sigmoid_focal_loss";
constexpr int64_t kGrain = 2048;  // numbers a thread takes at least

template <typename T>
struct Element {
  T value, slope;  // of the loss with respect to the logit
};

template <typename T>
Element<T> element(T logit, bool is_target, T gamma, T alpha) {
  const T sign = is_target ? T{1} : T{-1};
  const T x = sign * logit;
  // Everything from one exponential that cannot overflow: p is 1 / (1 + e) or e / (1 + e), and log p, log q likewise.
  const T e = std::exp(-std::abs(x));
  const T larger = 1 / (1 + e), smaller = e * larger, rest = std::log1p(e);
  const T p = x < 0 ? smaller : larger, q = x < 0 ? larger : smaller;
  const T log_p = (x < 0 ? x : T{0}) - rest, log_q = (x < 0 ? T{0} : -x) - rest;
  const T power = gamma == 2 ? q * q : std::exp(gamma * log_q);  // of q = 1 - p
  const T weight = (is_target ? alpha : 1 - alpha) * power;
  return {-weight * log_p, sign * weight * (gamma * p * log_p - q)};
}

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

// Call `each(flat index, element, weight of the sample's class)` for all numbers, in parallel.
template <typename T, typename Each>
void for_each_element(const Inputs& in, double gamma, double alpha, const Each& each) {
  const T* logits = in.logits.const_data_ptr<T>();
  const int64_t* target = in.target.const_data_ptr<int64_t>();
  const T* weight = in.has_weight ? in.weight.const_data_ptr<T>() : nullptr;
  torch::stable::parallel_for(0, in.num * in.num_classes, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t row = i / in.num_classes, first = row * in.num_classes;
      const int64_t label = target[row], stop = std::min(end, first + in.num_classes);
      const T factor = weight != nullptr && label >= 0 && label < in.num_classes ? weight[label] : T{1};
      for (; i < stop; ++i) {
        each(i, element<T>(logits[i], label == i - first, static_cast<T>(gamma), static_cast<T>(alpha)), factor);
      }
    }
  });
}

Tensor forward(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight, double gamma,
               double alpha) {
  const Inputs in = check(input, target, weight);
  Tensor loss = torch::stable::new_empty(in.logits, {in.num, in.num_classes});
  with_compute_type(in.logits.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    T* out = loss.mutable_data_ptr<T>();
    for_each_element<T>(in, gamma, alpha, [&](int64_t i, const Element<T>& e, T factor) { out[i] = factor * e.value; });
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
    const T* above = grad_data.const_data_ptr<T>();
    T* out = result.mutable_data_ptr<T>();
    for_each_element<T>(in, gamma, alpha,
                        [&](int64_t i, const Element<T>& e, T factor) { out[i] = above[i] * factor * e.slope; });
  });
  return as_contiguous(result, input.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) {
  library.impl("sigmoid_focal_loss", TORCH_BOX(&forward));
  library.impl("sigmoid_focal_loss_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
