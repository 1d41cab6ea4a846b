// Exponential, and logarithm on the range that losses need, without branches or calls, so that loops of them become
// vector code. Both are within a few units in the last place.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#define MIMCTL_INLINE inline __attribute__((always_inline))

namespace mimctl_ops {

// 1 + x / a1 (1 + x / a2 (1 + …)) for a_k = k: the Taylor series of exp, shortest term first.
template <int kFirst, int kLast, typename T>
MIMCTL_INLINE T exp_series(T x) {
  if constexpr (kFirst > kLast) {
    return T{1};
  } else {
    return T{1} + x * (T{1} / kFirst) * exp_series<kFirst + 1, kLast>(x);
  }
}

// 1 + z / 3 + z^2 / 5 + …, of which atanh is made.
template <int kFirst, int kLast, typename T>
MIMCTL_INLINE T odd_series(T z) {
  if constexpr (kFirst > kLast) {
    return T{0};
  } else {
    return T{1} / kFirst + z * odd_series<kFirst + 2, kLast>(z);
  }
}

// exp(x); 0 or infinity where that is not a normal number. NaN gives NaN.
template <typename T>
MIMCTL_INLINE T exp_of(T x) {
  constexpr bool is_float = sizeof(T) == 4;
  using Bits = std::conditional_t<is_float, int32_t, int64_t>;
  constexpr int kMantissa = is_float ? 23 : 52;
  constexpr Bits kBias = is_float ? 127 : 1023;
  constexpr T kLowest = is_float ? T(-87.33654) : T(-708.396), kHighest = is_float ? T(88.37) : T(709.4);
  // Adding this number rounds a small one to an integer, which then is found in the lowest bits.
  constexpr T kRounder = T(3) * T(Bits{1} << (kMantissa - 1));
  // ln 2 in two parts, the first with so few digits that its multiples by an exponent are exact.
  constexpr T kLn2High = is_float ? T(0.693359375) : T(0.69314718036912381649);
  constexpr T kLn2Low = is_float ? T(-2.12194440054690583e-4) : T(1.90821492927058770002e-10);

  const T not_low = x < kLowest ? kLowest : x, within = not_low > kHighest ? kHighest : not_low;
  const T rounded = within * T(1.44269504088896340736) + kRounder;
  const T exponent = rounded - kRounder;
  const T rest = (within - exponent * kLn2High) - exponent * kLn2Low;  // at most ln(2) / 2 from 0
  Bits bits, zero;
  const T rounder = kRounder;
  std::memcpy(&bits, &rounded, sizeof(bits));
  std::memcpy(&zero, &rounder, sizeof(zero));
  using Unsigned = std::make_unsigned_t<Bits>;
  const Unsigned scale_bits = static_cast<Unsigned>(bits - zero + kBias) << kMantissa;
  T scale;
  std::memcpy(&scale, &scale_bits, sizeof(scale));
  const T result = scale * exp_series<1, is_float ? 7 : 13>(rest);
  return x < kLowest ? T{0} : x > kHighest ? std::numeric_limits<T>::infinity() : result;
}

// log(1 + e) for 0 <= e <= 1, precise for small e, too: 2 atanh(e / (2 + e)).
template <typename T>
MIMCTL_INLINE T log1p_of_fraction(T e) {
  const T s = e / (2 + e);
  return 2 * s * odd_series<1, sizeof(T) == 4 ? 17 : 35>(s * s);
}

}  // namespace mimctl_ops
