// Greedy non-maximum suppression on the CPU.
//
// Boxes are copied into a structure of arrays in order of falling score. Each kept box is compared with all later
// ones in one loop without branches, which the compiler turns into vector code; dead boxes are squeezed out as soon
// as they are a good part of what is left, so crowded scenes cost far less than all pairs.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "../checks.h"

// One copy of the inner loop for AVX2 and one for any x86-64, chosen when the library is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MIMCTL_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define MIMCTL_CLONES
#endif

namespace mimctl_ops {
namespace {

// Boxes looked at in one call of the inner loop: its count of hits must fit a flag.
constexpr int64_t kBlock = int64_t{1} << 30;

// A flag as wide as the number it goes with: loops over both have one vector width.
template <typename T>
using Flag = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

template <typename T>
struct Boxes {
  std::unique_ptr<T[]> storage;
  std::unique_ptr<Flag<T>[]> dead;
  std::unique_ptr<int64_t[]> index;  // row in the caller's tensors
  T *x1, *y1, *x2, *y2, *area;

  explicit Boxes(int64_t count)
      : storage(new T[5 * count]), dead(new Flag<T>[count]()), index(new int64_t[count]) {
    x1 = storage.get();
    y1 = x1 + count;
    x2 = y1 + count;
    y2 = x2 + count;
    area = y2 + count;
  }

  void move(int64_t from, int64_t to) {
    x1[to] = x1[from];
    y1[to] = y1[from];
    x2[to] = x2[from];
    y2[to] = y2[from];
    area[to] = area[from];
    index[to] = index[from];
  }
};

// Mark the boxes begin..end whose IoU with box `kept` exceeds the threshold; return how many are newly dead.
#define MIMCTL_DEFINE_SUPPRESS(T)                                                                                 \
  MIMCTL_CLONES Flag<T> suppress(const T* __restrict__ x1, const T* __restrict__ y1, const T* __restrict__ x2,    \
                                 const T* __restrict__ y2, const T* __restrict__ area, Flag<T>* __restrict__ dead, \
                                 int64_t kept, int64_t begin, int64_t end, T threshold) {                         \
    const T left = x1[kept], top = y1[kept], right = x2[kept], bottom = y2[kept], own = area[kept];               \
    Flag<T> fresh = 0;                                                                                            \
    for (int64_t j = begin; j < end; ++j) {                                                                       \
      const T width = std::max<T>((x2[j] < right ? x2[j] : right) - (x1[j] > left ? x1[j] : left), 0);            \
      const T height = std::max<T>((y2[j] < bottom ? y2[j] : bottom) - (y1[j] > top ? y1[j] : top), 0);           \
      const T common = width * height;                                                                            \
      const Flag<T> hit = common / (own + area[j] - common) > threshold;                                          \
      fresh += hit & ~dead[j];                                                                                    \
      dead[j] |= hit;                                                                                             \
    }                                                                                                             \
    return fresh;                                                                                                 \
  }
MIMCTL_DEFINE_SUPPRESS(float)
MIMCTL_DEFINE_SUPPRESS(double)
#undef MIMCTL_DEFINE_SUPPRESS

// Return an integer that orders as the number does, falling: greater scores first, NaN before all (as torch.sort).
template <typename T>
auto falling_key(T value) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  if (std::isnan(value)) {
    return Bits{0};
  }
  value += T{0};  // -0 and +0 are one score
  Bits bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const Bits sign = Bits{1} << (8 * sizeof(T) - 1);
  return static_cast<Bits>((bits & sign) ? bits : ~(bits | sign));
}

// Return the rows in order of falling score; equal scores keep their order.
template <typename S>
std::vector<int64_t> falling_order(const S* scores, int64_t count) {
  struct Entry {
    decltype(falling_key(S{})) key;
    int64_t row;
  };
  std::vector<Entry> entries(count);
  for (int64_t i = 0; i < count; ++i) {
    entries[i] = {falling_key(scores[i]), i};
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.key != b.key ? a.key < b.key : a.row < b.row;
  });
  std::vector<int64_t> order(count);
  std::transform(entries.begin(), entries.end(), order.begin(), [](const Entry& entry) { return entry.row; });
  return order;
}

template <typename T>
void fill(Boxes<T>& sorted, const T* boxes, const std::vector<int64_t>& order) {
  const auto count = static_cast<int64_t>(order.size());
  for (int64_t i = 0; i < count; ++i) {
    const T* box = boxes + 4 * order[i];
    sorted.x1[i] = box[0];
    sorted.y1[i] = box[1];
    sorted.x2[i] = box[2];
    sorted.y2[i] = box[3];
    sorted.area[i] = (box[2] - box[0]) * (box[3] - box[1]);
    sorted.index[i] = order[i];
  }
}

// Move the living boxes of begin..end together, so that they start at `begin`; return the new end.
template <typename T>
int64_t squeeze(Boxes<T>& boxes, int64_t begin, int64_t end) {
  int64_t next = begin;
  for (int64_t j = begin; j < end; ++j) {
    if (!boxes.dead[j]) {
      boxes.move(j, next++);
    }
  }
  std::fill(boxes.dead.get() + begin, boxes.dead.get() + next, Flag<T>{0});
  return next;
}

template <typename T>
std::vector<int64_t> keep(const T* data, const std::vector<int64_t>& order, T threshold) {
  auto end = static_cast<int64_t>(order.size());
  Boxes<T> boxes(end);
  fill(boxes, data, order);
  std::vector<int64_t> kept;
  int64_t num_dead = 0;
  for (int64_t i = 0; i < end; ++i) {
    if (boxes.dead[i]) {
      --num_dead;
      continue;
    }
    kept.push_back(boxes.index[i]);
    for (int64_t begin = i + 1; begin < end; begin += kBlock) {
      num_dead += suppress(boxes.x1, boxes.y1, boxes.x2, boxes.y2, boxes.area, boxes.dead.get(), i, begin,
                           std::min(begin + kBlock, end), threshold);
    }
    if (num_dead * 8 > end - i) {
      end = squeeze(boxes, i + 1, end);
      num_dead = 0;
    }
  }
  return kept;
}

Tensor nms_cpu(const Tensor& boxes, const Tensor& scores, double iou_threshold) {
  check_dim("nms", "boxes", boxes, 2);
  check_size("nms", "boxes", boxes, 1, 4);
  const int64_t count = boxes.size(0);
  check_dim("nms", "scores", scores, 1);
  check_size("nms", "scores", scores, 0, count);
  check_floating("nms", "boxes", boxes);
  check_floating("nms", "scores", scores);
  const Tensor box_data = as_contiguous(boxes, compute_type(boxes.scalar_type()));
  const Tensor score_data = as_contiguous(scores, compute_type(scores.scalar_type()));

  const auto order = score_data.scalar_type() == ScalarType::Double
                         ? falling_order(score_data.const_data_ptr<double>(), count)
                         : falling_order(score_data.const_data_ptr<float>(), count);
  const auto kept = box_data.scalar_type() == ScalarType::Double
                        ? keep(box_data.const_data_ptr<double>(), order, iou_threshold)
                        : keep(box_data.const_data_ptr<float>(), order, static_cast<float>(iou_threshold));

  Tensor result = torch::stable::new_empty(boxes, {static_cast<int64_t>(kept.size())}, ScalarType::Long);
  std::copy(kept.begin(), kept.end(), result.mutable_data_ptr<int64_t>());
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) { library.impl("nms", TORCH_BOX(&nms_cpu)); }

}  // namespace mimctl_ops
