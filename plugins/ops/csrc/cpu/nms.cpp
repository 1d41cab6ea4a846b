// Greedy non-maximum suppression on the CPU.
//
// Boxes are copied into a structure of arrays, class by class, in order of falling score. Each kept box is compared
// with all later ones of its class in one loop without branches, which the compiler turns into vector code; dead boxes
// are squeezed out as soon as they are a good part of what is left, so crowded scenes cost far less than all pairs.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "../scored_boxes.h"
#include "clones.h"
#include "falling_order.h"

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
  std::unique_ptr<int64_t[]> rank;  // in the order of falling score over all classes
  T *x1, *y1, *x2, *y2, *area;

  explicit Boxes(int64_t count)
      : storage(new T[5 * count]), dead(new Flag<T>[count]()), rank(new int64_t[count]) {
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
    rank[to] = rank[from];
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

template <typename T>
void fill(Boxes<T>& sorted, const T* boxes, const Classes& classes) {
  for (size_t i = 0; i < classes.rows.size(); ++i) {
    const T* box = boxes + 4 * classes.rows[i];
    sorted.x1[i] = box[0];
    sorted.y1[i] = box[1];
    sorted.x2[i] = box[2];
    sorted.y2[i] = box[3];
    sorted.area[i] = (box[2] - box[0]) * (box[3] - box[1]);
    sorted.rank[i] = classes.ranks[i];
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

// Mark the ranks of what is kept of the rows begin..end, which are those of one class.
template <typename T>
void keep_of_class(Boxes<T>& boxes, int64_t begin, int64_t end, T threshold, std::vector<char>& is_kept) {
  int64_t num_dead = 0;
  for (int64_t i = begin; i < end; ++i) {
    if (boxes.dead[i]) {
      --num_dead;
      continue;
    }
    is_kept[boxes.rank[i]] = 1;
    for (int64_t from = i + 1; from < end; from += kBlock) {
      num_dead += suppress(boxes.x1, boxes.y1, boxes.x2, boxes.y2, boxes.area, boxes.dead.get(), i, from,
                           std::min(from + kBlock, end), threshold);
    }
    if (num_dead * 8 > end - i) {
      end = squeeze(boxes, i + 1, end);
      num_dead = 0;
    }
  }
}

template <typename T>
std::vector<char> keep(const Tensor& data, const Classes& classes, T threshold) {
  Boxes<T> boxes(data.size(0));
  fill(boxes, data.const_data_ptr<T>(), classes);
  std::vector<char> is_kept(data.size(0));
  torch::stable::parallel_for(0, classes.num(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      keep_of_class(boxes, classes.starts[c], classes.starts[c + 1], threshold, is_kept);
    }
  });
  return is_kept;
}

Tensor nms_cpu(const Tensor& boxes, const Tensor& scores, double iou_threshold, const std::optional<Tensor>& labels) {
  check_scored_boxes("nms", "boxes", boxes, 4, scores, labels);
  const Tensor box_data = as_contiguous(boxes, compute_type(boxes.scalar_type()));
  const Tensor score_data = as_contiguous(scores, compute_type(scores.scalar_type()));
  const auto order = falling_order(score_data);
  const auto classes = by_class(order, Labels(labels).data());
  const auto is_kept = with_compute_type(box_data.scalar_type(), [&](auto zero) {
    return keep(box_data, classes, static_cast<decltype(zero)>(iou_threshold));
  });
  return kept_rows(boxes, order, is_kept);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) { library.impl("nms", TORCH_BOX(&nms_cpu)); }

}  // namespace mimctl_ops
