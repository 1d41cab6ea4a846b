// MIMCTL_HOST_DEVICE before a function of a header: inlined into CPU and CUDA code alike.
#pragma once

#ifdef __CUDACC__
#define MIMCTL_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define MIMCTL_HOST_DEVICE inline __attribute__((always_inline))
#endif
