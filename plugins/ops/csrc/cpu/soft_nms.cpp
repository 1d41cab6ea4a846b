// Soft non-maximum suppression on the CPU (Bodla et al., "Soft-NMS", 2017).
//
// The boxes of a class lie in a structure of arrays, in order of their rows. Each round takes the best one out and
// lowers the scores of the others, in loops without branches that the compiler turns into vector code. Boxes that are
// taken or dropped are marked, and squeezed out as soon as they are a good part of what is left.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <vector>

#include "../scored_boxes.h"
#include "../soft_nms.h"
#include "clones.h"
#include "falling_order.h"

namespace mimctl_ops {
namespace {

constexpr const char* kOp = "soft_nms";

// A flag as wide as the number it goes with: loops over both have one vector width.
template <typename T>
using Flag = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

template <typename T>
struct Living {
  std::unique_ptr<T[]> storage;
  std::unique_ptr<Flag<T>[]> dead;
  std::unique_ptr<int64_t[]> row;
  T *x1, *y1, *x2, *y2, *area, *score, *weight;
  int64_t count = 0;

  explicit Living(int64_t most) : storage(new T[7 * most]), dead(new Flag<T>[most]), row(new int64_t[most]) {
    T** const fields[] = {&x1, &y1, &x2, &y2, &area, &score, &weight};
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
    dead[count] = 0;
    row[count++] = its_row;
  }

  void squeeze() {
    int64_t next = 0;
    for (int64_t j = 0; j < count; ++j) {
      if (!dead[j]) {
        x1[next] = x1[j];
        y1[next] = y1[j];
        x2[next] = x2[j];
        y2[next] = y2[j];
        area[next] = area[j];
        score[next] = score[j];
        dead[next] = 0;
        row[next++] = row[j];
      }
    }
    count = next;
  }
};

// overlap_all writes the IoU of box `best` with all boxes. weigh_all turns IoUs into weights. lower_all lowers scores
// by their weights, marks boxes that fall below the least score with -infinity, and returns how many.
#define MIMCTL_DEFINE_LOOPS(T)                                                                                       \
  MIMCTL_CLONES void overlap_all(const T* __restrict__ x1, const T* __restrict__ y1, const T* __restrict__ x2,       \
                                 const T* __restrict__ y2, const T* __restrict__ area, int64_t best, int64_t count,  \
                                 T* __restrict__ overlap) {                                                          \
    const T left = x1[best], top = y1[best], right = x2[best], bottom = y2[best], own = area[best];                  \
    for (int64_t j = 0; j < count; ++j) {                                                                            \
      const T width = std::max<T>((x2[j] < right ? x2[j] : right) - (x1[j] > left ? x1[j] : left), 0);               \
      const T height = std::max<T>((y2[j] < bottom ? y2[j] : bottom) - (y1[j] > top ? y1[j] : top), 0);              \
      const T common = width * height;                                                                               \
      overlap[j] = common / (own + area[j] - common);                                                                \
    }                                                                                                                \
  }                                                                                                                  \
                                                                                                                     \
  MIMCTL_CLONES void weigh_all(bool is_linear, T threshold, int64_t count, T* __restrict__ weight) {                 \
    for (int64_t j = 0; j < count; ++j) {                                                                            \
      const T lowered = is_linear ? 1 - weight[j] : T{0};                                                            \
      weight[j] = (weight[j] > 0) & (weight[j] >= threshold) ? lowered : T{1};                                       \
    }                                                                                                                \
  }                                                                                                                  \
                                                                                                                     \
  MIMCTL_CLONES int64_t lower_all(const T* __restrict__ weight, T least, int64_t count, T* __restrict__ score,       \
                                  Flag<T>* __restrict__ dead) {                                                      \
    Flag<T> fresh = 0;                                                                                               \
    for (int64_t j = 0; j < count; ++j) {                                                                            \
      const T lowered = lower(score[j], weight[j]);                                                                  \
      const Flag<T> drops = lowered < least;                                                                         \
      fresh += drops & ~dead[j];                                                                                     \
      dead[j] |= drops;                                                                                              \
      score[j] = dead[j] ? -std::numeric_limits<T>::infinity() : lowered;                                            \
    }                                                                                                                \
    return fresh;                                                                                                    \
  }                                                                                                                  \
                                                                                                                     \
  /* The greatest score, or NaN where there is one. */                                                               \
  MIMCTL_CLONES T greatest(const T* __restrict__ score, int64_t count) {                                             \
    constexpr int kLanes = 8;                                                                                        \
    T best[kLanes], nan[kLanes];                                                                                     \
    std::fill(best, best + kLanes, -std::numeric_limits<T>::infinity());                                             \
    std::fill(nan, nan + kLanes, T{0});                                                                              \
    int64_t j = 0;                                                                                                   \
    for (; j + kLanes <= count; j += kLanes) {                                                                       \
      for (int k = 0; k < kLanes; ++k) {                                                                             \
        best[k] = score[j + k] > best[k] ? score[j + k] : best[k];                                                   \
        nan[k] = score[j + k] != score[j + k] ? score[j + k] : nan[k];                                               \
      }                                                                                                              \
    }                                                                                                                \
    for (; j < count; ++j) {                                                                                         \
      best[0] = score[j] > best[0] ? score[j] : best[0];                                                             \
      nan[0] = score[j] != score[j] ? score[j] : nan[0];                                                             \
    }                                                                                                                \
    for (int k = 0; k < kLanes; ++k) {                                                                               \
      if (nan[k] != nan[k]) {                                                                                        \
        return nan[k];                                                                                               \
      }                                                                                                              \
      best[0] = best[k] > best[0] ? best[k] : best[0];                                                               \
    }                                                                                                                \
    return best[0];                                                                                                  \
  }
MIMCTL_DEFINE_LOOPS(float)
MIMCTL_DEFINE_LOOPS(double)
#undef MIMCTL_DEFINE_LOOPS

// Return the place of the best living box: the first of equal scores, NaN before all.
template <typename T>
int64_t find_best(const Living<T>& living) {
  const T score = greatest(living.score, living.count);
  int64_t j = 0;
  while (living.dead[j] || (living.score[j] != score && (score == score || living.score[j] == living.score[j]))) {
    ++j;
  }
  return j;
}

template <typename T>
struct Kept {
  T score;
  int64_t row;
};

template <typename T>
void weigh(const Living<T>& living, int64_t best, const Decay<T>& decay) {
  overlap_all(living.x1, living.y1, living.x2, living.y2, living.area, best, living.count, living.weight);
  if (decay.method == kGaussian) {
    for (int64_t j = 0; j < living.count; ++j) {
      living.weight[j] = decay.weight(living.weight[j]);
    }
  } else {
    weigh_all(decay.method == kLinear, decay.iou_threshold, living.count, living.weight);
  }
}

template <typename T>
void keep_of_class(Living<T>& living, const Decay<T>& decay, std::vector<Kept<T>>& kept) {
  int64_t num_dead = 0;
  while (num_dead < living.count) {
    const int64_t best = find_best(living);
    kept.push_back({living.score[best], living.row[best]});
    weigh(living, best, decay);
    living.dead[best] = 1;
    num_dead += 1 + lower_all(living.weight, decay.min_score, living.count, living.score, living.dead.get());
    if (num_dead * 8 > living.count) {
      living.squeeze();
      num_dead = 0;
    }
  }
  living.count = 0;
}

// Return the row of the best score: the first of several, NaN before all.
template <typename T>
int64_t best_row(const T* score, int64_t count) {
  int64_t best = 0;
  for (int64_t row = 1; row < count; ++row) {
    best = comes_before(score[row], score[best]) ? row : best;
  }
  return best;
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
  const int64_t first = best_row(score, count);
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
