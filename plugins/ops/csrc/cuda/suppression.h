// Greedy suppression on the device, for any rule that says which pairs of boxes overlap too much.
//
// Boxes are sorted by falling score. For a block of rows, one kernel writes a bit for each later box that the row would
// suppress; a second one, a single thread block, settles 64 rows after another and marks what the survivors suppress.
// Blocks have so many rows that their bits fit into a buffer of fixed size: 10,000 boxes take one block, a million
// boxes many, and no mask ever travels to the host. Only the number of kept boxes does.
#pragma once

#include <array>

#include "launch.h"

namespace mimctl_ops {

constexpr int64_t kMaskBytes = int64_t{64} << 20;
constexpr int kSettleThreads = 1024;

// Return values and rows of the scores (contiguous float or double), falling: NaN first, equal ones in their order.
inline std::pair<Tensor, Tensor> sort_falling(const Tensor& scores) {
  using torch::stable::detail::from;
  std::array<StableIValue, 4> stack{from(scores), from(std::optional<bool>(true)), from(int64_t{0}), from(true)};
  STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::sort", "stable", stack.data(), TORCH_ABI_VERSION));
  return {torch::stable::detail::to<Tensor>(stack[0]), torch::stable::detail::to<Tensor>(stack[1])};
}

// Return rows of a tensor in another order.
inline Tensor select_rows(const Tensor& rows, const Tensor& index) {
  using torch::stable::detail::from;
  std::array<StableIValue, 3> stack{from(rows), from(int64_t{0}), from(index)};
  STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::index_select", "", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

// Return the number that lies at `device_number`, once the stream has come to it.
inline int64_t read_number(const char* op, const Tensor& device_number, cudaStream_t stream) {
  int64_t number = 0;
  cudaMemcpyAsync(&number, device_number.const_data_ptr<int64_t>(), sizeof(number), cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);
  check_launch(op);
  return number;
}

// Write bit k of mask[row - first][word - first / 64] for each box j = 64 word + k after `row` that `suppresses` names.
template <typename Suppresses>
__global__ void mark_pairs(int64_t count, int64_t first, int64_t num_rows, int64_t num_words, Suppresses suppresses,
                           const unsigned long long* __restrict__ removed, unsigned long long* __restrict__ mask) {
  // Neighbouring threads have neighbouring rows and one word: they read the same boxes j at the same time.
  MIMCTL_FOR_EACH(item, num_rows * num_words) {
    const int64_t row = first + item % num_rows, word = first / 64 + item / num_rows;
    unsigned long long bits = 0;
    if (!(removed[row / 64] >> (row % 64) & 1)) {
      const int64_t begin = max(word * 64, row + 1), end = min(word * 64 + 64, count);
      for (int64_t j = begin; j < end; ++j) {
        bits |= static_cast<unsigned long long>(suppresses(row, j)) << (j % 64);
      }
    }
    mask[item % num_rows * num_words + item / num_rows] = bits;
  }
}

// Settle the rows of one block in their order: append those that survive to `kept`, and mark what they suppress.
static __global__ void __launch_bounds__(kSettleThreads)
    settle(int64_t first, int64_t num_rows, int64_t num_words, const unsigned long long* __restrict__ mask,
           const int64_t* __restrict__ order, unsigned long long* removed, int64_t* kept, int64_t* num_kept) {
  __shared__ unsigned long long within[64];  // what each of 64 rows suppresses among them
  __shared__ unsigned long long survivors;
  const int64_t thread = threadIdx.x;
  int64_t num = *num_kept;
  for (int64_t begin = 0; begin < num_rows; begin += 64) {
    const int64_t size = min(int64_t{64}, num_rows - begin), word = begin / 64;
    if (thread < size) {
      within[thread] = mask[(begin + thread) * num_words + word];
    }
    __syncthreads();
    if (thread == 0) {
      unsigned long long gone = removed[first / 64 + word];
      survivors = 0;
      for (int64_t k = 0; k < size; ++k) {
        if (!(gone >> k & 1)) {
          survivors |= 1ull << k;
          gone |= within[k];
        }
      }
    }
    __syncthreads();
    const unsigned long long alive = survivors;
    for (int64_t other = word + 1 + thread; other < num_words; other += blockDim.x) {
      unsigned long long gone = 0;
      for (int64_t k = 0; k < size; ++k) {
        if (alive >> k & 1) {
          gone |= mask[(begin + k) * num_words + other];
        }
      }
      removed[first / 64 + other] |= gone;
    }
    if (thread < size && (alive >> thread & 1)) {
      kept[num + __popcll(alive & ((1ull << thread) - 1))] = order[first + begin + thread];
    }
    num += __popcll(alive);
    __syncthreads();
  }
  if (thread == 0) {
    *num_kept = num;
  }
}

// Return the rows that are kept. `order` has all rows by falling score; `suppresses(i, j)` is asked about places in it,
// i < j.
template <typename Suppresses>
Tensor suppress(const char* op, const Tensor& order, const Suppresses& suppresses, cudaStream_t stream) {
  const int64_t count = order.size(0), all_words = (count + 63) / 64;
  Tensor kept = torch::stable::new_empty(order, {count});
  Tensor num_kept = torch::stable::new_zeros(order, {1});
  Tensor removed = torch::stable::new_zeros(order, {all_words});
  const int64_t words_that_fit = kMaskBytes / (64 * 8) / std::max<int64_t>(1, all_words);
  const int64_t block = std::clamp<int64_t>(words_that_fit, 1, std::max<int64_t>(1, all_words)) * 64;
  Tensor mask = torch::stable::new_empty(order, {std::min(block, count) * all_words});
  auto* removed_bits = reinterpret_cast<unsigned long long*>(removed.mutable_data_ptr<int64_t>());
  auto* mask_bits = reinterpret_cast<unsigned long long*>(mask.mutable_data_ptr<int64_t>());
  for (int64_t first = 0; first < count; first += block) {
    const int64_t num_rows = std::min(block, count - first), num_words = all_words - first / 64;
    mark_pairs<<<num_blocks(num_rows * num_words), kThreads, 0, stream>>>(count, first, num_rows, num_words, suppresses,
                                                                         removed_bits, mask_bits);
    check_launch(op);
    settle<<<1, kSettleThreads, 0, stream>>>(first, num_rows, num_words, mask_bits, order.const_data_ptr<int64_t>(),
                                             removed_bits, kept.mutable_data_ptr<int64_t>(),
                                             num_kept.mutable_data_ptr<int64_t>());
    check_launch(op);
  }
  return torch::stable::clone(torch::stable::narrow(kept, 0, 0, read_number(op, num_kept, stream)));
}

}  // namespace mimctl_ops
