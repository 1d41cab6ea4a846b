// Orders rows by falling score on the CPU, as torch.sort(descending=True, stable=True) does: NaN first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <vector>

#include "../checks.h"

namespace mimctl_ops {

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

// As above; `scores` must be contiguous float or double.
inline std::vector<int64_t> falling_order(const Tensor& scores) {
  return with_compute_type(scores.scalar_type(), [&](auto zero) {
    return falling_order(scores.const_data_ptr<decltype(zero)>(), scores.size(0));
  });
}

// Rows class by class, and in an order of their own within a class.
struct Classes {
  std::vector<int64_t> rows;
  std::vector<int64_t> ranks;   // place of each of `rows` in that order over all classes
  std::vector<int64_t> starts;  // of the classes in `rows`, and the end of the last

  int64_t num() const { return static_cast<int64_t>(starts.size()) - 1; }
};

// Part the rows of `order` by label; without labels all rows are one class.
inline Classes by_class(const std::vector<int64_t>& order, const int64_t* labels) {
  const auto count = static_cast<int64_t>(order.size());
  Classes classes{order, std::vector<int64_t>(count), {0}};
  std::iota(classes.ranks.begin(), classes.ranks.end(), int64_t{0});
  if (labels != nullptr) {
    std::stable_sort(classes.ranks.begin(), classes.ranks.end(),
                     [&](int64_t a, int64_t b) { return labels[order[a]] < labels[order[b]]; });
    for (int64_t i = 0; i < count; ++i) {
      classes.rows[i] = order[classes.ranks[i]];
      if (i > 0 && labels[classes.rows[i]] != labels[classes.rows[i - 1]]) {
        classes.starts.push_back(i);
      }
    }
  }
  classes.starts.push_back(count);
  return classes;
}

// Return a tensor with the rows of `order` whose rank is marked in `is_kept`.
inline Tensor kept_rows(const Tensor& like, const std::vector<int64_t>& order, const std::vector<char>& is_kept) {
  const auto num = std::count(is_kept.begin(), is_kept.end(), char{1});
  Tensor result = torch::stable::new_empty(like, {static_cast<int64_t>(num)}, ScalarType::Long);
  int64_t* out = result.mutable_data_ptr<int64_t>();
  for (size_t rank = 0; rank < order.size(); ++rank) {
    if (is_kept[rank]) {
      *out++ = order[rank];
    }
  }
  return result;
}

}  // namespace mimctl_ops
