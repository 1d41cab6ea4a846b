// Pooling of regions of interest on the CPU, upright and rotated; roi_align.cpp and roi_align_rotated.cpp register it.
#pragma once

#include "../roi_sampling.h"

namespace mimctl_ops {

enum class RoiKind { kUprightMean, kUprightMax, kRotatedMean, kRotatedClockwiseMean };

// Raise unless each row of `rois` names an image of the input.
Tensor pool_rois(const char* op, RoiKind kind, const RoiPooling& pooling, const Tensor& input, const Tensor& rois);

// The gradient of `input`; its numbers are looked at for the maximum alone.
Tensor spread_rois(const char* op, RoiKind kind, const RoiPooling& pooling, const Tensor& grad, const Tensor& input,
                   const Tensor& rois);

}  // namespace mimctl_ops
