// Checks of arguments that every kernel makes before it touches data. Python checks first, with better words; these keep
// direct calls of torch.ops.mimctl_ops.* from reading or writing outside a tensor.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

namespace mimctl_ops {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline bool is_half(ScalarType type) { return type == ScalarType::Half || type == ScalarType::BFloat16; }

inline bool is_floating(const Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == ScalarType::Float || type == ScalarType::Double || is_half(type);
}

// The type that numbers of `type` are computed in: float for the half types, the type itself otherwise.
inline ScalarType compute_type(ScalarType type) { return is_half(type) ? ScalarType::Float : type; }

inline void check_floating(const char* op, const char* name, const Tensor& tensor) {
  STD_TORCH_CHECK(is_floating(tensor), op, ": ", name, " must be floating point");
}

inline void check_dim(const char* op, const char* name, const Tensor& tensor, int64_t dim) {
  STD_TORCH_CHECK(tensor.dim() == dim, op, ": ", name, " must have ", dim, " dimensions, not ", tensor.dim());
}

inline void check_size(const char* op, const char* name, const Tensor& tensor, int64_t dim, int64_t size) {
  STD_TORCH_CHECK(tensor.size(dim) == size, op, ": ", name, " must have the size ", size, " in dimension ", dim, ", not ",
                  tensor.size(dim));
}

inline void check_same_device(const char* op, const char* name, const Tensor& tensor, const Tensor& first) {
  STD_TORCH_CHECK(tensor.device() == first.device(), op, ": ", name, " lies on another device than the first argument");
}

// Return the tensor as contiguous numbers of `type`, itself where it is that already.
inline Tensor as_contiguous(const Tensor& tensor, ScalarType type) {
  return torch::stable::contiguous(tensor.scalar_type() == type ? tensor : torch::stable::to(tensor, type));
}

// Call `body` with a value of the C++ type that numbers of `type` are computed in on the CPU: float or double.
template <typename Body>
decltype(auto) with_compute_type(ScalarType type, const Body& body) {
  return type == ScalarType::Double ? body(double{}) : body(float{});
}

}  // namespace mimctl_ops
