// How much two rotated boxes overlap: the one formula for CPU and CUDA.
//
// The second box is moved into the frame of the first, where the first is the upright rectangle |x| <= w, |y| <= h. The
// area that both cover is the integral of clamp(y, -h, h) along the border of the second box, from x = -w to w: lower
// edges count against upper ones, and what lies beyond the rectangle cancels. There are no vertices to find or to sort
// and no cases, so equal boxes, shared edges and touching corners need no care, and the compiler can put several pairs
// into one vector. Everything is computed in double: in float, a long thin box alone would cost four digits.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#ifdef __CUDACC__
#define MIMCTL_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define MIMCTL_HOST_DEVICE inline __attribute__((always_inline))
#endif

namespace mimctl_ops {

struct RotatedBox {
  double x, y;                // center
  double half_w, half_h;      // along the box's own axes
  double cos, sin;            // of the angle, which turns the x axis towards the y axis
  double reach_x, reach_y;    // half sides of the upright box around it; -infinity where it has no area
};

// A box without area (a size that is not above 0, or NaN) reaches nowhere and overlaps nothing.
MIMCTL_HOST_DEVICE RotatedBox rotated_box(double x, double y, double width, double height, double angle) {
  const double half_w = width / 2, half_h = height / 2, cosine = std::cos(angle), sine = std::sin(angle);
  const bool has_area = width > 0 && height > 0;
  const double nowhere = -std::numeric_limits<double>::infinity();
  return {x, y, half_w, half_h, cosine, sine,
          has_area ? half_w * std::abs(cosine) + half_h * std::abs(sine) : nowhere,
          has_area ? half_w * std::abs(sine) + half_h * std::abs(cosine) : nowhere};
}

// False where the upright boxes around both do not meet, or a number is NaN.
MIMCTL_HOST_DEVICE bool may_overlap(double dx, double dy, double reach_x, double reach_y) {
  return (std::abs(dx) < reach_x) & (std::abs(dy) < reach_y);
}

MIMCTL_HOST_DEVICE bool may_overlap(const RotatedBox& a, const RotatedBox& b) {
  return may_overlap(b.x - a.x, b.y - a.y, a.reach_x + b.reach_x, a.reach_y + b.reach_y);
}

MIMCTL_HOST_DEVICE double clamp_to(double value, double limit) {
  const double low = value < -limit ? -limit : value;
  return low > limit ? limit : low;
}

// Return the integral of clamp(y, -h, h) over x along the edge from (x0, y0) to (x1, y1), where |x| <= w.
MIMCTL_HOST_DEVICE double integrate_edge(double x0, double y0, double x1, double y1, double w, double h) {
  const double dx = x1 - x0, dy = y1 - y0;
  // So steep an edge has no width to speak of: any height will do, and the slope must not overflow.
  const bool is_steep = std::abs(dx) <= 1e-18 * std::abs(dy);
  const double slope = is_steep ? 0.0 : dy / (is_steep ? 1.0 : dx);
  const double begin = clamp_to(x0, w), end = clamp_to(x1, w);
  const double from = y0 + (begin - x0) * slope, to = y1 + (end - x1) * slope;
  // The mean of clamp(y) while y runs evenly from one height to the other, by its antiderivative; between heights that
  // are all but equal it is the height itself.
  const double low = clamp_to(from, h), high = clamp_to(to, h);
  const double beyond_from = std::abs(from) > h ? std::abs(from) : h, beyond_to = std::abs(to) > h ? std::abs(to) : h;
  const double rise = to - from;
  const double integral = (high - low) * (high + low) / 2 + h * (beyond_to - beyond_from);
  const bool is_flat = std::abs(rise) <= 1e-12 * h;
  const double mean = is_flat ? clamp_to((from + to) / 2, h) : integral / (is_flat ? 1.0 : rise);
  return mean * (end - begin);
}

// Return the area that both boxes cover; the boxes are given by numbers, so that a loop over arrays can be vectorised.
MIMCTL_HOST_DEVICE double common_area(double dx, double dy, double half_w, double half_h, double cosine, double sine,
                                      double other_half_w, double other_half_h, double other_cosine,
                                      double other_sine) {
  const double x = dx * cosine + dy * sine, y = dy * cosine - dx * sine;
  const double turn_cos = cosine * other_cosine + sine * other_sine;
  const double turn_sin = cosine * other_sine - sine * other_cosine;
  const double ux = other_half_w * turn_cos, uy = other_half_w * turn_sin;
  const double vx = -other_half_h * turn_sin, vy = other_half_h * turn_cos;
  const double x0 = x - ux - vx, y0 = y - uy - vy, x1 = x + ux - vx, y1 = y + uy - vy;
  const double x2 = x + ux + vx, y2 = y + uy + vy, x3 = x - ux + vx, y3 = y - uy + vy;
  return -(integrate_edge(x0, y0, x1, y1, half_w, half_h) + integrate_edge(x1, y1, x2, y2, half_w, half_h) +
           integrate_edge(x2, y2, x3, y3, half_w, half_h) + integrate_edge(x3, y3, x0, y0, half_w, half_h));
}

// Return IoU, or the share of the first area that is common (`of_first`); 0 where a number is NaN or too large. Less
// than the rounding of boxes that only touch counts as nothing, too: a threshold of 0 must leave those alone.
MIMCTL_HOST_DEVICE double overlap_ratio(double common, double area, double other_area, bool of_first) {
  const double most = area < other_area ? area : other_area;
  const double bounded = common < most ? common : most;
  const double others = of_first ? 0.0 : 1.0;  // a factor, not a choice of sums: compilers make vectors of it
  const double ratio = bounded / (area + others * (other_area - bounded));
  return ratio > 1e-12 ? (ratio < 1 ? ratio : 1.0) : 0.0;
}

MIMCTL_HOST_DEVICE double rotated_overlap(const RotatedBox& a, const RotatedBox& b, bool of_first) {
  const double common = common_area(b.x - a.x, b.y - a.y, a.half_w, a.half_h, a.cos, a.sin, b.half_w, b.half_h, b.cos,
                                    b.sin);
  return overlap_ratio(common, 4 * a.half_w * a.half_h, 4 * b.half_w * b.half_h, of_first);
}

}  // namespace mimctl_ops
