// Pooling of regions of interest on the CPU, forward and backward.
//
// Where the samples of a RoI lie is worked out once for all channels. A thread then takes planes, one channel of one
// image each, and does all RoIs of that image while the plane is in its cache; backward, the plane is its alone.
// The samples of an upright RoI form a grid, so rows are interpolated first, for all columns of the RoI at once in vector
// code, and columns after that; for the mean, samples that share a pixel are merged before.
#include "roi_pooling.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "clones.h"
#include "vectors.h"

#define MIMCTL_INLINE inline __attribute__((always_inline))

namespace mimctl_ops {
namespace {

constexpr size_t kTableBytes = 1 << 19;  // of sample positions at a time: they stay in the cache, too
constexpr int64_t kFewPlanes = 32;       // with fewer, the RoIs of an image are split among threads, too
constexpr int64_t kSplitRois = 16;
constexpr int64_t kGrain = 4096;  // bins a thread takes at least

// A pixel, or the first of a pixel and the next one, and a weight of it or the share of the next one.
template <typename T>
struct Share {
  int64_t at;
  T weight;
};

// The upper left of four pixels of a plane, and the shares of the right and lower ones.
template <typename T>
struct Corner {
  int64_t at;
  T right, below;
};

// Where the samples of one RoI stand in a table: those of bin i are `starts[i] … starts[i + 1]` of `shares`.
struct Entry {
  int64_t image, row;                   // row of `rois`
  int64_t grid_h, grid_w;               // samples of a bin
  int64_t first_column, num_columns;    // of the map, that an upright RoI reads
  int64_t y_starts, x_starts, x_taps;   // mean: each bin has as many taps along x, from `x_starts` of `shares` on
};

template <typename T>
struct Table {
  std::vector<Entry> entries;
  std::vector<int64_t> starts;
  std::vector<Share<T>> shares;
  std::vector<Corner<T>> corners;

  size_t bytes() const {
    return starts.size() * sizeof(int64_t) + shares.size() * sizeof(Share<T>) + corners.size() * sizeof(Corner<T>);
  }

  void clear() {
    entries.clear();
    starts.clear();
    shares.clear();
    corners.clear();
  }
};

// ---------------------------------------------------------------------------------------------------------------------
// Tables

// One side of an upright RoI: its bins, and the map's size along it.
template <typename T>
struct Side {
  T start, bin;
  int64_t grid, num_bins, size;
};

template <typename T>
Side<T> y_side(const RoiPooling& pooling, const Roi<T>& roi) {
  return {roi.start_y, roi.bin_h, roi.grid_h, pooling.out_h, pooling.height};
}

template <typename T>
Side<T> x_side(const RoiPooling& pooling, const Roi<T>& roi) {
  return {roi.start_x, roi.bin_w, roi.grid_w, pooling.out_w, pooling.width};
}

// Append the samples of a bin that lie on the map.
template <typename T>
void add_samples(const Side<T>& side, int64_t bin, std::vector<Share<T>>& shares) {
  Range range{0, side.grid};
  if (side.grid > kFewSamples) {
    range.clip(static_cast<double>(side.start) + static_cast<double>(bin) * side.bin,
               static_cast<double>(side.bin) / static_cast<double>(side.grid), -1 - kSlack,
               static_cast<double>(side.size) + kSlack);
  }
  for (int64_t i = range.begin; i < range.end; ++i) {
    Between<T> found;
    if (find_between(place_of(side.start, side.bin, bin, i, side.grid), side.size, found)) {
      shares.push_back({found.low, found.share});
    }
  }
}

// Put a weight for each pixel in the place of the samples from `first` on, whose mean they give.
template <typename T>
void merge_samples(const Side<T>& side, size_t first, std::vector<T>& dense, std::vector<Share<T>>& shares) {
  if (shares.size() == first) {
    return;
  }
  int64_t low = side.size, high = -1;
  for (size_t i = first; i < shares.size(); ++i) {
    const Share<T> share = shares[i];
    dense[share.at] += 1 - share.weight;
    dense[share.at + 1] += share.weight;
    low = std::min(low, share.at);
    high = std::max(high, share.at + 1);
  }
  shares.resize(first);
  const T factor = T{1} / static_cast<T>(side.grid);
  for (int64_t at = low; at <= high; ++at) {
    if (dense[at] != 0) {
      shares.push_back({at, dense[at] * factor});
    }
    dense[at] = 0;
  }
}

// Choose the columns `low` to `high` of the map, and some more where that makes whole vectors.
template <typename T>
void choose_columns(const RoiPooling& pooling, int64_t low, int64_t high, Entry& entry) {
  const int64_t count = high - low + 1, rounded = (count + kWidth<T> - 1) / kWidth<T> * kWidth<T>;
  entry.first_column = rounded <= pooling.width ? std::min(low, pooling.width - rounded) : low;
  entry.num_columns = rounded <= pooling.width ? rounded : count;
}

template <typename T>
class TableBuilder {
 public:
  TableBuilder(RoiKind kind, const RoiPooling& pooling, Table<T>& table)
      : kind_(kind), pooling_(pooling), table_(table), dense_(std::max(pooling.height, pooling.width) + 2) {}

  void add(const T* numbers, int64_t row) {
    const bool is_rotated = kind_ == RoiKind::kRotatedMean || kind_ == RoiKind::kRotatedClockwiseMean;
    const Roi<T> roi = is_rotated ? rotated_roi(pooling_, numbers, kind_ == RoiKind::kRotatedClockwiseMean)
                                  : upright_roi(pooling_, numbers);
    Entry entry{static_cast<int64_t>(numbers[0]), row, roi.grid_h, roi.grid_w, 0, 0, 0, 0, 0};
    entry.y_starts = static_cast<int64_t>(table_.starts.size());
    if (roi.image < 0) {
      entry.grid_h = entry.grid_w = 0;
      entry.x_starts = entry.y_starts;
      table_.starts.resize(table_.starts.size() + std::max(num_starts(), pooling_.out_w + 1),
                           static_cast<int64_t>(is_rotated ? table_.corners.size() : table_.shares.size()));
    } else if (is_rotated) {
      add_corners(roi);
    } else {
      add_grid(roi, entry);
    }
    table_.entries.push_back(entry);
  }

 private:
  int64_t num_starts() const {
    const bool is_upright = kind_ == RoiKind::kUprightMean || kind_ == RoiKind::kUprightMax;
    return (is_upright ? pooling_.out_h : pooling_.bins()) + 1;
  }

  void add_corners(const Roi<T>& roi) {
    const int64_t width = pooling_.width;
    for (int64_t bin = 0; bin < pooling_.bins(); ++bin) {
      table_.starts.push_back(static_cast<int64_t>(table_.corners.size()));
      for_each_sample(pooling_, roi, bin / pooling_.out_w, bin % pooling_.out_w,
                      [&](const Between<T>& y, const Between<T>& x) {
                        table_.corners.push_back({y.low * width + x.low, x.share, y.share});
                      });
    }
    table_.starts.push_back(static_cast<int64_t>(table_.corners.size()));
  }

  void add_grid(const Roi<T>& roi, Entry& entry) {
    const bool is_mean = kind_ == RoiKind::kUprightMean;
    entry.x_starts = static_cast<int64_t>(table_.starts.size());
    const size_t x_begin = table_.shares.size();
    add_side(x_side(pooling_, roi), is_mean);
    int64_t low = pooling_.width, high = -1;
    for (size_t i = x_begin; i < table_.shares.size(); ++i) {
      low = std::min(low, table_.shares[i].at);
      high = std::max(high, table_.shares[i].at + (is_mean ? 0 : pooling_.right_step()));
    }
    if (high >= 0) {
      choose_columns<T>(pooling_, low, high, entry);
    }
    for (size_t i = x_begin; i < table_.shares.size(); ++i) {
      table_.shares[i].at -= entry.first_column;
    }
    if (is_mean) {
      pad_taps(x_begin, entry);
    }
    const size_t y_begin = table_.shares.size();
    entry.y_starts = static_cast<int64_t>(table_.starts.size());
    add_side(y_side(pooling_, roi), is_mean);
    for (size_t i = y_begin; i < table_.shares.size(); ++i) {
      table_.shares[i].at = table_.shares[i].at * pooling_.width + entry.first_column;
    }
  }

  void add_side(const Side<T>& side, bool is_mean) {
    for (int64_t bin = 0; bin < side.num_bins; ++bin) {
      const size_t first = table_.shares.size();
      table_.starts.push_back(static_cast<int64_t>(first));
      add_samples(side, bin, table_.shares);
      if (is_mean) {
        merge_samples(side, first, dense_, table_.shares);
      }
    }
    table_.starts.push_back(static_cast<int64_t>(table_.shares.size()));
  }

  // Give each bin as many taps along x, so that loops over them are regular: the others are of a column of zeros.
  void pad_taps(size_t x_begin, Entry& entry) {
    const int64_t* const starts = table_.starts.data() + entry.x_starts;
    for (int64_t bin = 0; bin < pooling_.out_w; ++bin) {
      entry.x_taps = std::max(entry.x_taps, starts[bin + 1] - starts[bin]);
    }
    padded_.assign(static_cast<size_t>(pooling_.out_w * entry.x_taps), {entry.num_columns, T{0}});
    for (int64_t bin = 0; bin < pooling_.out_w; ++bin) {
      std::copy(table_.shares.begin() + starts[bin], table_.shares.begin() + starts[bin + 1],
                padded_.begin() + bin * entry.x_taps);
    }
    table_.starts.resize(static_cast<size_t>(entry.x_starts));
    table_.shares.resize(x_begin);
    table_.shares.insert(table_.shares.end(), padded_.begin(), padded_.end());
    entry.x_starts = static_cast<int64_t>(x_begin);
  }

  RoiKind kind_;
  const RoiPooling& pooling_;
  Table<T>& table_;
  std::vector<T> dense_;
  std::vector<Share<T>> padded_;
};

// ---------------------------------------------------------------------------------------------------------------------
// One RoI in one plane

// `row[x]` = the weighted sum of rows of the plane.
template <typename T>
MIMCTL_INLINE void sum_rows(const T* plane, const Share<T>* begin, const Share<T>* end, int64_t num_columns, T* row) {
  int64_t x = 0;
  for (; x + kWidth<T> <= num_columns; x += kWidth<T>) {
    Vector<T> sum = begin->weight * vector_at(plane + begin->at + x);
    for (const Share<T>* tap = begin + 1; tap != end; ++tap) {
      sum += tap->weight * vector_at(plane + tap->at + x);
    }
    vector_at(row + x) = sum;
  }
  for (; x < num_columns; ++x) {
    T sum = begin->weight * plane[begin->at + x];
    for (const Share<T>* tap = begin + 1; tap != end; ++tap) {
      sum += tap->weight * plane[tap->at + x];
    }
    row[x] = sum;
  }
}

// The transpose of it.
template <typename T>
MIMCTL_INLINE void spread_row(const T* row, const Share<T>* begin, const Share<T>* end, int64_t num_columns, T* plane) {
  int64_t x = 0;
  for (; x + kWidth<T> <= num_columns; x += kWidth<T>) {
    const Vector<T> numbers = vector_at(row + x);
    for (const Share<T>* tap = begin; tap != end; ++tap) {
      vector_at(plane + tap->at + x) += tap->weight * numbers;
    }
  }
  for (; x < num_columns; ++x) {
    for (const Share<T>* tap = begin; tap != end; ++tap) {
      plane[tap->at + x] += tap->weight * row[x];
    }
  }
}

// `num`: the number of taps, 0 where it is only known as `count`.
template <int num, typename T>
MIMCTL_INLINE void sum_columns(const T* row, const Share<T>* taps, int64_t count, int64_t num_bins, T* out) {
  const int64_t step = num > 0 ? num : count;
  for (int64_t bin = 0; bin < num_bins; ++bin, taps += step) {
    T sum = taps[0].weight * row[taps[0].at];
    for (int64_t i = 1; i < step; ++i) {
      sum += taps[i].weight * row[taps[i].at];
    }
    out[bin] = sum;
  }
}

template <typename T>
MIMCTL_INLINE void pool_mean(const RoiPooling& pooling, const Table<T>& table, const Entry& entry, const T* plane,
                             T* row, T* out) {
  if (entry.x_taps == 0) {
    std::fill(out, out + pooling.bins(), T{0});
    return;
  }
  const int64_t* const starts = table.starts.data() + entry.y_starts;
  const Share<T>* const shares = table.shares.data();
  const Share<T>* const taps = shares + entry.x_starts;
  row[entry.num_columns] = 0;
  for (int64_t y = 0; y < pooling.out_h; ++y, out += pooling.out_w) {
    if (starts[y] == starts[y + 1]) {
      std::fill(out, out + pooling.out_w, T{0});
      continue;
    }
    sum_rows(plane, shares + starts[y], shares + starts[y + 1], entry.num_columns, row);
    switch (entry.x_taps) {
      case 2:
        sum_columns<2>(row, taps, 2, pooling.out_w, out);
        break;
      case 3:
        sum_columns<3>(row, taps, 3, pooling.out_w, out);
        break;
      case 4:
        sum_columns<4>(row, taps, 4, pooling.out_w, out);
        break;
      default:
        sum_columns<0>(row, taps, entry.x_taps, pooling.out_w, out);
    }
  }
}

template <typename T>
MIMCTL_INLINE void spread_mean(const RoiPooling& pooling, const Table<T>& table, const Entry& entry, const T* grad,
                               T* row, T* plane) {
  const int64_t* const starts = table.starts.data() + entry.y_starts;
  const Share<T>* const shares = table.shares.data();
  for (int64_t y = 0; y < pooling.out_h && entry.x_taps > 0; ++y, grad += pooling.out_w) {
    if (starts[y] == starts[y + 1]) {
      continue;
    }
    std::fill(row, row + entry.num_columns, T{0});
    const Share<T>* tap = shares + entry.x_starts;
    for (int64_t x = 0; x < pooling.out_w; ++x) {
      for (int64_t i = 0; i < entry.x_taps; ++i, ++tap) {
        row[tap->at] += tap->weight * grad[x];
      }
    }
    spread_row(row, shares + starts[y], shares + starts[y + 1], entry.num_columns, plane);
  }
}

// The largest samples of one row of bins, and which they are.
template <typename T>
struct Largest {
  std::vector<T> value;
  std::vector<const Share<T>*> y, x;  // null: none on the map

  explicit Largest(int64_t num_bins) : value(num_bins), y(num_bins), x(num_bins) {}
};

template <typename T>
MIMCTL_INLINE void find_largest(const RoiPooling& pooling, const Table<T>& table, const Entry& entry, const T* plane,
                                int64_t bin_y, T* row, Largest<T>& largest) {
  const int64_t* const y_starts = table.starts.data() + entry.y_starts + bin_y;
  const int64_t* const x_starts = table.starts.data() + entry.x_starts;
  const Share<T>* const shares = table.shares.data();
  const int64_t right = pooling.right_step(), below = pooling.below_step();
  std::fill(largest.y.begin(), largest.y.end(), nullptr);
  std::fill(largest.value.begin(), largest.value.end(), T{0});
  for (const Share<T>* y = shares + y_starts[0]; y != shares + y_starts[1]; ++y) {
    const Share<T> both[2] = {{y->at, 1 - y->weight}, {y->at + below, y->weight}};
    sum_rows(plane, both, both + 2, entry.num_columns, row);
    for (int64_t bin = 0; bin < pooling.out_w; ++bin) {
      T best = largest.value[bin];
      for (const Share<T>* x = shares + x_starts[bin]; x != shares + x_starts[bin + 1]; ++x) {
        const T value = (1 - x->weight) * row[x->at] + x->weight * row[x->at + right];
        if (largest.y[bin] == nullptr || (!(value <= best) && best == best)) {  // NaN stays
          best = value;
          largest.y[bin] = y;
          largest.x[bin] = x;
        }
      }
      largest.value[bin] = best;
    }
  }
  // Samples outside the map are zeros.
  for (int64_t bin = 0; bin < pooling.out_w; ++bin) {
    const bool is_whole = y_starts[1] - y_starts[0] == entry.grid_h && x_starts[bin + 1] - x_starts[bin] == entry.grid_w;
    if (!is_whole && largest.value[bin] <= 0) {
      largest.value[bin] = 0;
      largest.y[bin] = nullptr;
    }
  }
}

template <typename T>
MIMCTL_INLINE void pool_max(const RoiPooling& pooling, const Table<T>& table, const Entry& entry, const T* plane,
                            T* row, Largest<T>& largest, T* out) {
  for (int64_t y = 0; y < pooling.out_h; ++y, out += pooling.out_w) {
    find_largest(pooling, table, entry, plane, y, row, largest);
    std::copy(largest.value.begin(), largest.value.end(), out);
  }
}

// Add `grad` to the four pixels of a sample by their shares.
template <typename T>
MIMCTL_INLINE void add_to_corners(const RoiPooling& pooling, T grad, T right, T below, T* pixel) {
  const int64_t right_step = pooling.right_step(), below_step = pooling.below_step();
  const T upper = grad * (1 - below), lower = grad * below;
  pixel[0] += upper * (1 - right);
  pixel[right_step] += upper * right;
  pixel[below_step] += lower * (1 - right);
  pixel[below_step + right_step] += lower * right;
}

template <typename T>
MIMCTL_INLINE void spread_max(const RoiPooling& pooling, const Table<T>& table, const Entry& entry, const T* input,
                              const T* grad, T* row, Largest<T>& largest, T* plane) {
  for (int64_t y = 0; y < pooling.out_h; ++y, grad += pooling.out_w) {
    find_largest(pooling, table, entry, input, y, row, largest);
    for (int64_t x = 0; x < pooling.out_w; ++x) {
      if (largest.y[x] != nullptr) {
        add_to_corners(pooling, grad[x], largest.x[x]->weight, largest.y[x]->weight,
                       plane + largest.y[x]->at + largest.x[x]->at);
      }
    }
  }
}

template <typename T>
MIMCTL_INLINE void pool_corners(const RoiPooling& pooling, const Table<T>& table, const Entry& entry, const T* plane,
                                T* out) {
  const int64_t* const starts = table.starts.data() + entry.y_starts;
  const int64_t right = pooling.right_step(), below = pooling.below_step();
  const T factor = T{1} / std::max(static_cast<T>(entry.grid_h) * static_cast<T>(entry.grid_w), T{1});
  for (int64_t bin = 0; bin < pooling.bins(); ++bin) {
    T sum = 0;
    for (int64_t i = starts[bin]; i < starts[bin + 1]; ++i) {
      const Corner<T>& corner = table.corners[i];
      const T* const pixel = plane + corner.at;
      const T upper = (1 - corner.right) * pixel[0] + corner.right * pixel[right];
      const T lower = (1 - corner.right) * pixel[below] + corner.right * pixel[below + right];
      sum += (1 - corner.below) * upper + corner.below * lower;
    }
    out[bin] = sum * factor;
  }
}

template <typename T>
MIMCTL_INLINE void spread_corners(const RoiPooling& pooling, const Table<T>& table, const Entry& entry, const T* grad,
                                  T* plane) {
  const int64_t* const starts = table.starts.data() + entry.y_starts;
  const T factor = T{1} / std::max(static_cast<T>(entry.grid_h) * static_cast<T>(entry.grid_w), T{1});
  for (int64_t bin = 0; bin < pooling.bins(); ++bin) {
    const T share = grad[bin] * factor;
    for (int64_t i = starts[bin]; i < starts[bin + 1]; ++i) {
      const Corner<T>& corner = table.corners[i];
      add_to_corners(pooling, share, corner.right, corner.below, plane + corner.at);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// All RoIs in all planes

// Entries of a table that are of one image.
struct Run {
  int64_t begin, end;
};

template <typename T>
struct Job {
  RoiKind kind;
  const RoiPooling& pooling;
  const T* input;
  const T* grad;  // null: forward
  T* out;         // the result, or the gradient of the input
  Table<T> table;
  std::vector<Run> runs;
};

template <typename T>
MIMCTL_INLINE void do_run(const Job<T>& job, const Run& run, int64_t channel, T* row, Largest<T>& largest) {
  const RoiPooling& n = job.pooling;
  const int64_t plane = (job.table.entries[run.begin].image * n.channels + channel) * n.height * n.width;
  for (int64_t e = run.begin; e < run.end; ++e) {
    const Entry& entry = job.table.entries[e];
    const int64_t bins = (entry.row * n.channels + channel) * n.bins();
    const bool is_forward = job.grad == nullptr;
    if (job.kind == RoiKind::kUprightMean && is_forward) {
      pool_mean(n, job.table, entry, job.input + plane, row, job.out + bins);
    } else if (job.kind == RoiKind::kUprightMean) {
      spread_mean(n, job.table, entry, job.grad + bins, row, job.out + plane);
    } else if (job.kind == RoiKind::kUprightMax && is_forward) {
      pool_max(n, job.table, entry, job.input + plane, row, largest, job.out + bins);
    } else if (job.kind == RoiKind::kUprightMax) {
      spread_max(n, job.table, entry, job.input + plane, job.grad + bins, row, largest, job.out + plane);
    } else if (is_forward) {
      pool_corners(n, job.table, entry, job.input + plane, job.out + bins);
    } else {
      spread_corners(n, job.table, entry, job.grad + bins, job.out + plane);
    }
  }
}

template <typename T>
MIMCTL_INLINE void do_runs(const Job<T>& job, int64_t begin, int64_t end) {
  std::vector<T> row(job.pooling.width + kWidth<T> + 1);
  Largest<T> largest(job.pooling.out_w);
  for (int64_t i = begin; i < end; ++i) {
    do_run(job, job.runs[i / job.pooling.channels], i % job.pooling.channels, row.data(), largest);
  }
}

MIMCTL_CLONES void do_some(const Job<float>& job, int64_t begin, int64_t end) { do_runs(job, begin, end); }
MIMCTL_CLONES void do_some(const Job<double>& job, int64_t begin, int64_t end) { do_runs(job, begin, end); }

// Divide the entries, which are in the order of their images, among threads.
template <typename T>
void divide(Job<T>& job) {
  const std::vector<Entry>& entries = job.table.entries;
  const int64_t count = static_cast<int64_t>(entries.size());
  const auto cut = [&](int64_t most) {
    job.runs.clear();
    for (int64_t i = 0; i < count; ++i) {
      const bool begins = i == 0 || entries[i].image != entries[i - 1].image || i - job.runs.back().begin == most;
      if (begins) {
        job.runs.push_back({i, i});
      }
      job.runs.back().end = i + 1;
    }
  };
  cut(count);
  if (job.grad == nullptr && static_cast<int64_t>(job.runs.size()) * job.pooling.channels < kFewPlanes) {
    cut(kSplitRois);  // threads may read the same plane, but not write it
  }
}

template <typename T>
void check_images(const char* op, const RoiPooling& pooling, const T* rois, int64_t roi_size) {
  for (int64_t i = 0; i < pooling.num_rois; ++i) {
    STD_TORCH_CHECK(is_image(pooling, rois[i * roi_size]), op, ": rois must begin with the number of an image, 0 to ",
                    pooling.batch - 1, ", not ", static_cast<double>(rois[i * roi_size]));
  }
}

template <typename T>
void do_all(Job<T>& job, const T* rois, int64_t roi_size) {
  const RoiPooling& n = job.pooling;
  std::vector<int64_t> order(n.num_rois);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return rois[a * roi_size] < rois[b * roi_size]; });
  TableBuilder<T> builder(job.kind, n, job.table);
  for (size_t next = 0; next < order.size();) {
    job.table.clear();
    while (next < order.size() && job.table.bytes() < kTableBytes) {
      builder.add(rois + order[next] * roi_size, order[next]);
      ++next;
    }
    divide(job);
    const int64_t num_items = static_cast<int64_t>(job.runs.size()) * n.channels;
    const int64_t bins = std::max<int64_t>(static_cast<int64_t>(job.table.entries.size() / job.runs.size()) * n.bins(), 1);
    torch::stable::parallel_for(0, num_items, std::max<int64_t>(kGrain / bins, 1),
                                [&](int64_t begin, int64_t end) { do_some(job, begin, end); });
  }
}

template <typename T>
void do_tensors(const char* op, RoiKind kind, const RoiPooling& pooling, const Tensor& input, const Tensor* grad,
                const Tensor& rois, Tensor& out) {
  const T* const numbers = rois.const_data_ptr<T>();
  check_images(op, pooling, numbers, rois.size(1));
  if (pooling.num_rois * pooling.channels == 0) {
    return;
  }
  Job<T> job{kind, pooling, input.const_data_ptr<T>(), grad != nullptr ? grad->const_data_ptr<T>() : nullptr,
             out.mutable_data_ptr<T>(), {}, {}};
  do_all(job, numbers, rois.size(1));
}

}  // namespace

Tensor pool_rois(const char* op, RoiKind kind, const RoiPooling& pooling, const Tensor& input, const Tensor& rois) {
  const auto type = compute_type(input.scalar_type());
  const Tensor features = as_contiguous(input, type), numbers = as_contiguous(rois, type);
  Tensor out = torch::stable::new_empty(features, {pooling.num_rois, pooling.channels, pooling.out_h, pooling.out_w});
  with_compute_type(type, [&](auto zero) {
    do_tensors<decltype(zero)>(op, kind, pooling, features, nullptr, numbers, out);
  });
  return as_contiguous(out, input.scalar_type());
}

Tensor spread_rois(const char* op, RoiKind kind, const RoiPooling& pooling, const Tensor& grad, const Tensor& input,
                   const Tensor& rois) {
  const auto type = compute_type(input.scalar_type());
  const bool looks_at_input = kind == RoiKind::kUprightMax;
  const Tensor features = looks_at_input ? as_contiguous(input, type) : input;
  const Tensor numbers = as_contiguous(rois, type), above = as_contiguous(grad, type);
  Tensor out = torch::stable::new_zeros(above, {pooling.batch, pooling.channels, pooling.height, pooling.width});
  with_compute_type(type, [&](auto zero) {
    using T = decltype(zero);
    do_tensors<T>(op, kind, pooling, looks_at_input ? features : above, &above, numbers, out);
  });
  return as_contiguous(out, input.scalar_type());
}

}  // namespace mimctl_ops
