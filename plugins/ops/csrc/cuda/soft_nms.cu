// Soft non-maximum suppression on CUDA: one thread block goes through the rounds, so that nothing waits for the host.
#include <torch/csrc/stable/library.h>

#include "../soft_nms.h"
#include "suppression.h"
#include "upright_boxes.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "soft_nms";
constexpr int kSoftThreads = 1024;

template <typename T>
struct Best {
  T score;
  int64_t row;  // -1: none

  __device__ bool is_before(const Best& other) const {
    if (row < 0 || other.row < 0) {
      return row >= 0;
    }
    if (comes_before(score, other.score) || comes_before(other.score, score)) {
      return comes_before(score, other.score);
    }
    return row < other.row;
  }
};

// Return the best of all threads' candidates to every thread.
template <typename T>
__device__ Best<T> best_of_block(Best<T> mine) {
  __shared__ Best<T> candidates[kSoftThreads];
  const int thread = threadIdx.x;
  __syncthreads();  // the last round's result has been read
  candidates[thread] = mine;
  __syncthreads();
  for (int half = kSoftThreads / 2; half > 0; half /= 2) {
    if (thread < half && candidates[thread + half].is_before(candidates[thread])) {
      candidates[thread] = candidates[thread + half];
    }
    __syncthreads();
  }
  return candidates[0];
}

// Each thread alone looks at and changes the scores of its rows: thread, thread + kSoftThreads, …
template <typename T>
__global__ void __launch_bounds__(kSoftThreads)
    kernel(int64_t count, const T* __restrict__ boxes, const int64_t* __restrict__ labels, Decay<T> decay,
           T* __restrict__ scores, int64_t* __restrict__ is_gone, int64_t* __restrict__ out_rows,
           T* __restrict__ out_scores, int64_t* __restrict__ out_num) {
  int64_t num = 0;
  while (true) {
    Best<T> mine{0, -1};
    for (int64_t j = threadIdx.x; j < count; j += kSoftThreads) {
      const Best<T> candidate{scores[j], is_gone[j] ? -1 : j};
      mine = candidate.is_before(mine) ? candidate : mine;
    }
    const Best<T> best = best_of_block(mine);
    if (best.row < 0) {
      break;
    }
    if (threadIdx.x == 0) {
      out_rows[num] = best.row;
      out_scores[num] = best.score;
    }
    ++num;
    for (int64_t j = threadIdx.x; j < count; j += kSoftThreads) {
      if (labels == nullptr || labels[best.row] == labels[j]) {
        scores[j] = lower(scores[j], decay.weight(upright_iou(boxes + 4 * best.row, boxes + 4 * j)));
      }
      is_gone[j] = is_gone[j] || j == best.row || scores[j] < decay.min_score;
    }
  }
  if (threadIdx.x == 0) {
    *out_num = num;
  }
}

std::tuple<Tensor, Tensor> soft_nms(const Tensor& boxes, const Tensor& scores, const std::optional<Tensor>& labels,
                                    double iou_threshold, double sigma, double min_score, int64_t method) {
  check_soft_nms(boxes, scores, labels, sigma, method);
  const OnDeviceOf device(boxes);
  const int64_t count = boxes.size(0);
  const auto type = compute_type(boxes.scalar_type());
  const Tensor box_data = as_contiguous(boxes, type);
  Tensor lowered = torch::stable::clone(as_contiguous(scores, type));
  const Labels label_data(labels);
  Tensor is_gone = torch::stable::new_zeros(boxes, {count}, ScalarType::Long);
  Tensor rows = torch::stable::new_empty(boxes, {count}, ScalarType::Long);
  Tensor kept = torch::stable::new_empty(boxes, {count}, type);
  Tensor num = torch::stable::new_empty(boxes, {1}, ScalarType::Long);
  with_compute_type(type, [&](auto zero) {
    using T = decltype(zero);
    kernel<T><<<1, kSoftThreads, 0, device.stream>>>(
        count, box_data.const_data_ptr<T>(), label_data.data(), Decay<T>(iou_threshold, sigma, min_score, method),
        lowered.mutable_data_ptr<T>(), is_gone.mutable_data_ptr<int64_t>(), rows.mutable_data_ptr<int64_t>(),
        kept.mutable_data_ptr<T>(), num.mutable_data_ptr<int64_t>());
  });
  check_launch(kOp);
  const int64_t num_kept = read_number(kOp, num, device.stream);
  // Rounds take falling scores, unless some are negative: lowering those makes them greater.
  const auto [values, index] = sort_falling(torch::stable::narrow(kept, 0, 0, num_kept));
  return {select_rows(torch::stable::narrow(rows, 0, 0, num_kept), index), values};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA, library) { library.impl("soft_nms", TORCH_BOX(&soft_nms)); }

}  // namespace mimctl_ops
