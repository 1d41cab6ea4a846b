// What every CUDA kernel needs: the current stream of torch, launch sizes, a look at errors, and types.
//
// torch's stream getter is declared weak: a CPU build of torch does not have it, and must be able to load this library.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <torch/csrc/stable/accelerator.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <algorithm>

#include "../checks.h"

extern "C" __attribute__((weak)) AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index,
                                                                                   void** ret_stream);

namespace mimctl_ops {

constexpr int kThreads = 256;

// For the lifetime of this object the tensor's device is current; `stream` is torch's current stream on it.
class OnDeviceOf {
 public:
  explicit OnDeviceOf(const Tensor& tensor) : guard_(tensor.get_device_index()) {
    STD_TORCH_CHECK(aoti_torch_get_current_cuda_stream != nullptr, "the installed torch has no CUDA");
    void* found = nullptr;
    STD_TORCH_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &found) == 0,
                    "torch gives no CUDA stream");
    stream = static_cast<cudaStream_t>(found);
  }

  cudaStream_t stream;

 private:
  torch::stable::accelerator::DeviceGuard guard_;
};

// The number of blocks for `count` items, one a thread; kernels stride over what is left.
inline unsigned int num_blocks(int64_t count) {
  return static_cast<unsigned int>(std::min<int64_t>((count + kThreads - 1) / kThreads, int64_t{1} << 20));
}

// Raise where the launch before it, or anything earlier on the device, failed.
inline void check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(error == cudaSuccess, op, ": ", cudaGetErrorString(error));
}

// The numbers that T is computed in: float for the half types.
template <typename T>
struct ComputeOf {
  using Type = float;
};
template <>
struct ComputeOf<double> {
  using Type = double;
};
template <typename T>
using Compute = typename ComputeOf<T>::Type;

// Call `body` with a value of the C++ type of `type`.
template <typename Body>
decltype(auto) with_type(ScalarType type, const Body& body) {
  switch (type) {
    case ScalarType::Double:
      return body(double{});
    case ScalarType::Half:
      return body(torch::headeronly::Half{});
    case ScalarType::BFloat16:
      return body(torch::headeronly::BFloat16{});
    default:
      return body(float{});
  }
}

// The items of a flat index space that this thread is for.
#define MIMCTL_FOR_EACH(index, count)                                                                             \
  for (int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; index < (count);              \
       index += static_cast<int64_t>(gridDim.x) * blockDim.x)

}  // namespace mimctl_ops
