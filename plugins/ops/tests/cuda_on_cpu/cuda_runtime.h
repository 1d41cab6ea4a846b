// A stand-in for CUDA's header: the kernels of csrc/cuda become plain C++ that runs here, one thread after another.
//
// Each thread of a block has a stack of its own, so that __syncthreads and the exchanges within a warp wait as they do on
// a GPU. A barrier that not all of those it is for reach is an error. CUDA_ON_CPU_ORDER = forward, reverse or a number
// chooses the order in which threads take their turns: what depends on it, lacks a barrier.
#pragma once

#include <math.h>
#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time

struct uint3 {
  unsigned int x, y, z;
};

struct dim3 {
  unsigned int x, y, z;
  dim3(unsigned int x_ = 1, unsigned int y_ = 1, unsigned int z_ = 1) : x(x_), y(y_), z(z_) {}
};

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };

namespace cuda_on_cpu {

inline constexpr unsigned int kWarp = 32;

extern uint3 thread_index, block_index;
extern dim3 block_size, grid_size;
extern cudaError_t last_error;

// Run `kernel` for every thread of every block.
void run(dim3 grid, dim3 block, const std::function<void()>& kernel);

// Let the threads of the block, or the lanes of the warp in `mask`, wait for each other.
void sync_block();
void sync_lanes(unsigned int mask);
unsigned int lane();

// 16 bytes for each lane of the running thread's warp.
unsigned char* lane_slot(unsigned int lane);

// There is no device to make current.
struct DeviceGuard {
  explicit DeviceGuard(int) {}
};

// What `kernel<<<grid, block, ...>>>(arguments)` is translated to.
template <typename Kernel, typename... Arguments>
void launch(dim3 grid, dim3 block, const Kernel& kernel, Arguments... arguments) {
  run(grid, block, [&] { kernel(arguments...); });
}

template <typename T>
T exchange(unsigned int mask, T value, unsigned int from) {
  static_assert(sizeof(T) <= 16);
  std::memcpy(lane_slot(lane()), &value, sizeof(T));
  sync_lanes(mask);
  if (from < kWarp) {
    std::memcpy(&value, lane_slot(from), sizeof(T));
  }
  sync_lanes(mask);
  return value;
}

inline unsigned int ballot(unsigned int mask, bool vote) {
  unsigned int votes = 0;
  for (unsigned int from = 0; from < kWarp; ++from) {
    votes |= (mask >> from & 1) && exchange(mask, vote, from) ? 1u << from : 0u;
  }
  return votes;
}

// Not inlined: the compiler must not fuse these with what is around them.
__attribute__((noinline)) inline float rounded(float number) { return number; }
__attribute__((noinline)) inline double rounded(double number) { return number; }

}  // namespace cuda_on_cpu

#define threadIdx (::cuda_on_cpu::thread_index)
#define blockIdx (::cuda_on_cpu::block_index)
#define blockDim (::cuda_on_cpu::block_size)
#define gridDim (::cuda_on_cpu::grid_size)
#define warpSize (static_cast<int>(::cuda_on_cpu::kWarp))

inline cudaError_t cudaGetLastError() {
  const cudaError_t error = cuda_on_cpu::last_error;
  cuda_on_cpu::last_error = cudaSuccess;
  return error;
}
inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "invalid configuration argument";
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, size);
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t) {
  std::memset(to, value, size);
  return cudaSuccess;
}

inline void __syncthreads() { cuda_on_cpu::sync_block(); }
inline void __syncwarp(unsigned int mask = 0xffffffff) { cuda_on_cpu::sync_lanes(mask); }
template <typename T>
T __shfl_sync(unsigned int mask, T value, int from) {
  return cuda_on_cpu::exchange(mask, value, static_cast<unsigned int>(from) % cuda_on_cpu::kWarp);
}
template <typename T>
T __shfl_xor_sync(unsigned int mask, T value, int bits) {
  return cuda_on_cpu::exchange(mask, value, cuda_on_cpu::lane() ^ static_cast<unsigned int>(bits));
}
template <typename T>
T __shfl_down_sync(unsigned int mask, T value, unsigned int distance) {
  return cuda_on_cpu::exchange(mask, value, cuda_on_cpu::lane() + distance);
}
inline unsigned int __ballot_sync(unsigned int mask, bool vote) { return cuda_on_cpu::ballot(mask, vote); }
inline bool __any_sync(unsigned int mask, bool vote) { return cuda_on_cpu::ballot(mask, vote) != 0; }
inline bool __all_sync(unsigned int mask, bool vote) { return cuda_on_cpu::ballot(mask, vote) == mask; }

template <typename T>
T atomicAdd(T* place, T value) {
  const T before = *place;
  *place = before + value;
  return before;
}
template <typename T>
T atomicMax(T* place, T value) {
  const T before = *place;
  *place = before < value ? value : before;
  return before;
}
template <typename T>
T atomicOr(T* place, T value) {
  const T before = *place;
  *place = before | value;
  return before;
}

template <typename T>
T __ldg(const T* place) {
  return *place;
}
inline int __popc(unsigned int bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }
inline float __fmul_rn(float a, float b) { return cuda_on_cpu::rounded(a * b); }
inline double __dmul_rn(double a, double b) { return cuda_on_cpu::rounded(a * b); }
inline float __fadd_rn(float a, float b) { return cuda_on_cpu::rounded(a) + b; }
inline double __dadd_rn(double a, double b) { return cuda_on_cpu::rounded(a) + b; }

// As on the device, a number wins over NaN.
inline float min(float a, float b) { return fminf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline int min(int a, int b) { return b < a ? b : a; }
inline int max(int a, int b) { return a < b ? b : a; }
inline long min(long a, long b) { return b < a ? b : a; }
inline long max(long a, long b) { return a < b ? b : a; }
inline long long min(long long a, long long b) { return b < a ? b : a; }
inline long long max(long long a, long long b) { return a < b ? b : a; }
