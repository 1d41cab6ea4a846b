// The rule of soft non-maximum suppression, for CPU and CUDA.
#pragma once

#include <cmath>
#include <cstdint>

#include "scored_boxes.h"

#ifdef __CUDACC__
#define MIMCTL_SOFT_NMS_INLINE __host__ __device__ __forceinline__
#else
#define MIMCTL_SOFT_NMS_INLINE inline
#endif

namespace mimctl_ops {

enum SoftNmsMethod : int64_t { kNaive = 0, kLinear = 1, kGaussian = 2 };

template <typename T>
struct Decay {
  T iou_threshold, sigma, min_score;
  int64_t method;

  Decay(double threshold, double spread, double least, int64_t how)
      : iou_threshold(static_cast<T>(threshold)), sigma(static_cast<T>(spread)), min_score(static_cast<T>(least)),
        method(how) {}

  // Return the factor for the score of a box that overlaps a better one so much; NaN, of empty boxes, is no overlap.
  MIMCTL_SOFT_NMS_INLINE T weight(T overlap) const {
    if (method == kGaussian) {
      return overlap > 0 ? std::exp(-(overlap * overlap) / sigma) : T{1};
    }
    const T lowered = method == kLinear ? 1 - overlap : T{0};
    return (overlap > 0) & (overlap >= iou_threshold) ? lowered : T{1};
  }
};

// Return a score times a weight; no weight at all makes any score 0, an infinite one too.
template <typename T>
MIMCTL_SOFT_NMS_INLINE T lower(T score, T weight) {
  return weight > 0 ? score * weight : T{0};
}

// True where a box with the score `a` is taken before one with the score `b`; NaN comes first, as in torch.sort.
template <typename T>
MIMCTL_SOFT_NMS_INLINE bool comes_before(T a, T b) {
  return a > b || (a != a && b == b);
}

inline void check_soft_nms(const Tensor& boxes, const Tensor& scores, const std::optional<Tensor>& labels,
                           double sigma, int64_t method) {
  check_scored_boxes("soft_nms", "boxes", boxes, 4, scores, labels);
  STD_TORCH_CHECK(sigma > 0, "soft_nms: sigma must be greater than 0");
  STD_TORCH_CHECK(method == kNaive || method == kLinear || method == kGaussian,
                  "soft_nms: method must be 0 (naive), 1 (linear) or 2 (gaussian)");
}

}  // namespace mimctl_ops
