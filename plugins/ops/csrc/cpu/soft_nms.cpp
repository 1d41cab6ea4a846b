// Soft non-maximum suppression on the CPU (Bodla et al., "Soft-NMS", 2017).
//
// The boxes of a class lie in a structure of arrays, in order of their rows. Each round takes the best one out, lowers
// the scores of the others in one vectorised loop, and moves those that stay together, in their order.
#include <torch/csrc/stable/library.h>

#include <cmath>
#include <memory>
#include <vector>

#include "../scored_boxes.h"
#include "../soft_nms.h"
#include "clones.h"
#include "falling_order.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "soft_nms";

template <typename T>
struct Living {
  std::unique_ptr<T[]> storage;
  std::unique_ptr<int64_t[]> row;
  T *x1, *y1, *x2, *y2, *area, *score, *overlap;
  int64_t count = 0;

  explicit Living(int64_t most) : storage(new T[7 * most]), row(new int64_t[most]) {
    T** const fields[] = {&x1, &y1, &x2, &y2, &area, &score, &overlap};
    for (int64_t i = 0; i < 7; ++i) {
      *fields[i] = storage.get() + i * most;
    }
  }

  void add(const T* box, T its_score, int64_t its_row) {
    x1[count] = box[0];
    y1[count] = box[1];
    x2[count] = box[2];
    y2[count] = box[3];
    area[count] = (box[2] - box[0]) * (box[3] - box[1]);
    score[count] = its_score;
    row[count++] = its_row;
  }

  void move(int64_t from, int64_t to) {
    x1[to] = x1[from];
    y1[to] = y1[from];
    x2[to] = x2[from];
    y2[to] = y2[from];
    area[to] = area[from];
    score[to] = score[from];
    row[to] = row[from];
  }
};

// Write the IoU of box `best` with all others; that of boxes without a union is 0.
#define MIMCTL_DEFINE_OVERLAP(T)                                                                                    \
  MIMCTL_CLONES void overlap_all(const T* __restrict__ x1, const T* __restrict__ y1, const T* __restrict__ x2,      \
                                 const T* __restrict__ y2, const T* __restrict__ area, int64_t best, int64_t count, \
                                 T* __restrict__ overlap) {                                                         \
    const T left = x1[best], top = y1[best], right = x2[best], bottom = y2[best], own = area[best];                 \
    for (int64_t j = 0; j < count; ++j) {                                                                           \
      const T width = std::max<T>((x2[j] < right ? x2[j] : right) - (x1[j] > left ? x1[j] : left), 0);              \
      const T height = std::max<T>((y2[j] < bottom ? y2[j] : bottom) - (y1[j] > top ? y1[j] : top), 0);             \
      const T common = width * height;                                                                              \
      const T ratio = common / (own + area[j] - common);                                                            \
      overlap[j] = ratio > 0 ? ratio : T{0};                                                                        \
    }                                                                                                               \
  }
MIMCTL_DEFINE_OVERLAP(float)
MIMCTL_DEFINE_OVERLAP(double)
#undef MIMCTL_DEFINE_OVERLAP

// Return the place of the best score: the first of several, NaN before all.
template <typename T>
int64_t find_best(const T* score, int64_t count) {
  int64_t best = 0;
  for (int64_t j = 1; j < count; ++j) {
    best = comes_before(score[j], score[best]) ? j : best;
  }
  return best;
}

template <typename T>
struct Kept {
  T score;
  int64_t row;
};

template <typename T>
void keep_of_class(Living<T>& living, const Decay<T>& decay, std::vector<Kept<T>>& kept) {
  while (living.count > 0) {
    const int64_t best = find_best(living.score, living.count);
    kept.push_back({living.score[best], living.row[best]});
    overlap_all(living.x1, living.y1, living.x2, living.y2, living.area, best, living.count, living.overlap);
    int64_t next = 0;
    for (int64_t j = 0; j < living.count; ++j) {
      const T lowered = living.overlap[j] > 0 ? decay.lower(living.score[j], living.overlap[j]) : living.score[j];
      living.score[j] = lowered;
      if (j != best && !(lowered < decay.min_score)) {
        living.move(j, next++);
      }
    }
    living.count = next;
  }
}

template <typename T>
std::tuple<Tensor, Tensor> run(const Tensor& boxes, const Tensor& scores, const int64_t* labels,
                               const Decay<T>& decay) {
  const T* box = boxes.const_data_ptr<T>();
  const T* score = scores.const_data_ptr<T>();
  const int64_t count = boxes.size(0);
  std::vector<int64_t> rows(count);
  std::iota(rows.begin(), rows.end(), int64_t{0});
  const Classes classes = by_class(rows, labels);
  const int64_t first = find_best(score, count);
  std::vector<std::vector<Kept<T>>> kept(classes.num());
  torch::stable::parallel_for(0, classes.num(), 1, [&](int64_t begin, int64_t end) {
    Living<T> living(count);
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t i = classes.starts[c]; i < classes.starts[c + 1]; ++i) {
        const int64_t row = classes.rows[i];
        if (row == first || !(score[row] < decay.min_score)) {
          living.add(box + 4 * row, score[row], row);
        }
      }
      keep_of_class(living, decay, kept[c]);
    }
  });

  std::vector<Kept<T>> all;
  for (const auto& part : kept) {
    all.insert(all.end(), part.begin(), part.end());
  }
  std::sort(all.begin(), all.end(), [](const Kept<T>& a, const Kept<T>& b) {
    const auto key = falling_key(a.score), other = falling_key(b.score);
    return key != other ? key < other : a.row < b.row;
  });
  const auto num = static_cast<int64_t>(all.size());
  Tensor out_rows = torch::stable::new_empty(boxes, {num}, ScalarType::Long);
  Tensor out_scores = torch::stable::new_empty(boxes, {num});
  for (int64_t i = 0; i < num; ++i) {
    out_rows.mutable_data_ptr<int64_t>()[i] = all[i].row;
    out_scores.mutable_data_ptr<T>()[i] = all[i].score;
  }
  return {out_rows, out_scores};
}

std::tuple<Tensor, Tensor> soft_nms(const Tensor& boxes, const Tensor& scores, const std::optional<Tensor>& labels,
                                    double iou_threshold, double sigma, double min_score, int64_t method) {
  check_soft_nms(boxes, scores, labels, sigma, method);
  const auto type = compute_type(boxes.scalar_type());
  const Tensor box_data = as_contiguous(boxes, type), score_data = as_contiguous(scores, type);
  const Labels label_data(labels);
  return with_compute_type(type, [&](auto zero) {
    using T = decltype(zero);
    return run<T>(box_data, score_data, label_data.data(), Decay<T>(iou_threshold, sigma, min_score, method));
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) { library.impl("soft_nms", TORCH_BOX(&soft_nms)); }

}  // namespace mimctl_ops
