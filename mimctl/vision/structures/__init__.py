"""Samples of vision tasks and the geometry of boxes."""

from mimctl.vision.structures.boxes import (
    bbox2distance,
    bbox_cxcywh_to_xyxy,
    bbox_overlaps,
    bbox_xyxy_to_cxcywh,
    distance2bbox,
    scale_boxes,
)
from mimctl.vision.structures.det_data_sample import DetDataSample

__all__ = [
    "DetDataSample",
    "bbox2distance",
    "bbox_cxcywh_to_xyxy",
    "bbox_overlaps",
    "bbox_xyxy_to_cxcywh",
    "distance2bbox",
    "scale_boxes",
]
