// IoU of upright boxes on CUDA, rounded as on the CPU.
#pragma once

#include <cuda_runtime.h>

namespace mimctl_ops {

// A product that the compiler must not fuse with a sum: the CPU does not, and thresholds are compared.
__device__ __forceinline__ float product(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double product(double a, double b) { return __dmul_rn(a, b); }

// Return the IoU of boxes `x1, y1, x2, y2`; NaN where their union is 0.
template <typename T>
__device__ __forceinline__ T upright_iou(const T* a, const T* b) {
  const T width = max((b[2] < a[2] ? b[2] : a[2]) - (b[0] > a[0] ? b[0] : a[0]), T{0});
  const T height = max((b[3] < a[3] ? b[3] : a[3]) - (b[1] > a[1] ? b[1] : a[1]), T{0});
  const T common = product(width, height);
  return common / (product(a[2] - a[0], a[3] - a[1]) + product(b[2] - b[0], b[3] - b[1]) - common);
}

}  // namespace mimctl_ops
