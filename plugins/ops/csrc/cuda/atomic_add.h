// Additions that many threads make to one number; devices before compute capability 6.0 have none for double.
#pragma once

#include <cuda_runtime.h>

namespace mimctl_ops {

template <typename T>
__device__ __forceinline__ void atomic_add(T* address, T value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 600
  if constexpr (sizeof(T) == sizeof(unsigned long long)) {
    auto* const bits = reinterpret_cast<unsigned long long*>(address);
    unsigned long long found = *bits, expected;
    do {
      expected = found;
      found = atomicCAS(bits, expected, __double_as_longlong(__longlong_as_double(expected) + value));
    } while (found != expected);
  } else {
    atomicAdd(address, value);
  }
#else
  atomicAdd(address, value);
#endif
}

}  // namespace mimctl_ops
