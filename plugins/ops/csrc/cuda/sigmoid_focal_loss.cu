// Sigmoid focal loss on CUDA; formulas as in cpu/sigmoid_focal_loss.cpp.
#include <torch/csrc/stable/library.h>

#include "launch.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "sigmoid_focal_loss";

template <typename C>
__device__ C log_sigmoid(C x) {
  return min(x, C{0}) - log1p(exp(-abs(x)));
}

// Writes the loss, or with `grad` the gradient of the logits.
template <typename T>
__global__ void kernel(int64_t count, int64_t num_classes, const T* __restrict__ logits,
                       const int64_t* __restrict__ target, const T* __restrict__ weight, const T* __restrict__ grad,
                       Compute<T> gamma, Compute<T> alpha, T* __restrict__ out) {
  using C = Compute<T>;
  MIMCTL_FOR_EACH(i, count) {
    const int64_t label = target[i / num_classes];
    const bool is_target = label == i % num_classes;
    const C sign = is_target ? C{1} : C{-1};
    const C x = sign * static_cast<C>(logits[i]);
    const C log_p = log_sigmoid(x), log_q = log_sigmoid(-x);
    C factor = (is_target ? alpha : 1 - alpha) * exp(gamma * log_q);
    if (weight != nullptr && label >= 0 && label < num_classes) {
      factor *= static_cast<C>(weight[label]);
    }
    const C value = grad == nullptr ? -log_p : static_cast<C>(grad[i]) * sign * (gamma * exp(log_p) * log_p - exp(log_q));
    out[i] = static_cast<T>(factor * value);
  }
}

void check(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight) {
  check_dim(kOp, "input", input, 2);
  check_floating(kOp, "input", input);
  check_dim(kOp, "target", target, 1);
  check_size(kOp, "target", target, 0, input.size(0));
  check_same_device(kOp, "target", target, input);
  STD_TORCH_CHECK(target.scalar_type() == ScalarType::Long, kOp, ": target must be int64");
  if (weight) {
    check_dim(kOp, "weight", *weight, 1);
    check_size(kOp, "weight", *weight, 0, input.size(1));
    check_floating(kOp, "weight", *weight);
    check_same_device(kOp, "weight", *weight, input);
  }
}

Tensor run(const Tensor* grad, const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
           double gamma, double alpha) {
  check(input, target, weight);
  const OnDeviceOf device(input);
  const auto type = input.scalar_type();
  const Tensor logits = torch::stable::contiguous(input), labels = torch::stable::contiguous(target);
  const Tensor factors = weight ? as_contiguous(*weight, type) : Tensor();
  const Tensor above = grad != nullptr ? as_contiguous(*grad, type) : Tensor();
  Tensor result = torch::stable::new_empty(logits, {input.size(0), input.size(1)});
  const int64_t count = result.numel();
  if (count == 0) {
    return result;
  }
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    kernel<T><<<num_blocks(count), kThreads, 0, device.stream>>>(
        count, input.size(1), logits.const_data_ptr<T>(), labels.const_data_ptr<int64_t>(),
        weight ? factors.const_data_ptr<T>() : nullptr, grad != nullptr ? above.const_data_ptr<T>() : nullptr,
        static_cast<Compute<T>>(gamma), static_cast<Compute<T>>(alpha), result.mutable_data_ptr<T>());
  });
  check_launch(kOp);
  return result;
}

Tensor forward(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight, double gamma,
               double alpha) {
  return run(nullptr, input, target, weight, gamma, alpha);
}

Tensor backward(const Tensor& grad, const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                double gamma, double alpha, int64_t) {
  check_dim(kOp, "grad", grad, 2);
  check_size(kOp, "grad", grad, 0, input.size(0));
  check_size(kOp, "grad", grad, 1, input.size(1));
  check_same_device(kOp, "grad", grad, input);
  return run(&grad, input, target, weight, gamma, alpha);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) {
  library.impl("sigmoid_focal_loss", TORCH_BOX(&forward));
  library.impl("sigmoid_focal_loss_backward", TORCH_BOX(&backward));
}

}  // namespace mimctl_ops
