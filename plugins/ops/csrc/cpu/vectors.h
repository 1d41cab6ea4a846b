// 32 bytes of numbers, of which the compiler makes what the machine has, and views of numbers in memory as such.
#pragma once

#include <cstdint>

namespace mimctl_ops {

// Loose vectors may lie anywhere in memory.
template <typename T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(32)));
  typedef float Loose __attribute__((vector_size(32), aligned(4), may_alias));
};
template <>
struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(32)));
  typedef double Loose __attribute__((vector_size(32), aligned(8), may_alias));
};
template <typename T>
using Vector = typename VectorOf<T>::Type;
template <typename T>
using Loose = typename VectorOf<T>::Loose;
template <typename T>
constexpr int64_t kWidth = 32 / sizeof(T);

template <typename T>
inline __attribute__((always_inline)) const Loose<T>& vector_at(const T* numbers) {
  return *reinterpret_cast<const Loose<T>*>(numbers);
}

template <typename T>
inline __attribute__((always_inline)) Loose<T>& vector_at(T* numbers) {
  return *reinterpret_cast<Loose<T>*>(numbers);
}

}  // namespace mimctl_ops
