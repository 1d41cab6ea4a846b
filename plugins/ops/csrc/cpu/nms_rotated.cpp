// Greedy non-maximum suppression of rotated boxes on the CPU.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "../scored_boxes.h"
#include "falling_order.h"
#include "rotated_columns.h"

namespace mimctl_ops {
namespace {

// Mark the ranks of what is kept of begin..end, the boxes of one class in order of falling score.
void keep_of_class(RotatedColumns& sorted, const Classes& classes, int64_t begin, int64_t end, double threshold,
                   Neighbours& near, std::vector<char>& is_kept) {
  std::vector<int64_t> place(classes.ranks.begin() + begin, classes.ranks.begin() + end);
  std::vector<char> is_dead(end - begin);
  int64_t num_dead = 0;
  for (int64_t i = begin; i < end; ++i) {
    if (is_dead[i - begin]) {
      --num_dead;
      continue;
    }
    is_kept[place[i - begin]] = 1;
    const RotatedBox best = sorted.box(i);
    near.find(best, sorted, i + 1, end);
    near.measure(best, sorted, false);
    for (int64_t k = 0; k < near.count; ++k) {
      char& dead = is_dead[near.index[k] - begin];
      const bool hit = near.ratio[k] > threshold;
      num_dead += hit & !dead;
      dead |= hit;
    }
    if (num_dead * 8 > end - i) {  // squeeze the dead out
      int64_t next = i + 1;
      for (int64_t j = i + 1; j < end; ++j) {
        if (!is_dead[j - begin]) {
          sorted.set(next, sorted.box(j));
          place[next++ - begin] = place[j - begin];
        }
      }
      end = next;
      std::fill(is_dead.begin(), is_dead.end(), char{0});
      num_dead = 0;
    }
  }
}

Tensor nms_rotated(const Tensor& dets, const Tensor& scores, double iou_threshold,
                   const std::optional<Tensor>& labels) {
  check_scored_boxes("nms_rotated", "dets", dets, 5, scores, labels);
  const auto order = falling_order(as_contiguous(scores, compute_type(scores.scalar_type())));
  const auto classes = by_class(order, Labels(labels).data());
  const RotatedColumns boxes(dets);
  RotatedColumns sorted(boxes.count);
  for (int64_t i = 0; i < boxes.count; ++i) {
    sorted.set(i, boxes.box(classes.rows[i]));
  }
  std::vector<char> is_kept(order.size());
  const double threshold = std::max(iou_threshold, 0.0);  // boxes apart never suppress each other
  torch::stable::parallel_for(0, classes.num(), 1, [&](int64_t begin, int64_t end) {
    Neighbours near(boxes.count);
    for (int64_t c = begin; c < end; ++c) {
      keep_of_class(sorted, classes, classes.starts[c], classes.starts[c + 1], threshold, near, is_kept);
    }
  });
  return kept_rows(dets, order, is_kept);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU, library) { library.impl("nms_rotated", TORCH_BOX(&nms_rotated)); }

}  // namespace mimctl_ops
