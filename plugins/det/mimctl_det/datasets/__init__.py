"""Datasets of detection: COCO, Pascal VOC and YOLO files, read into one form."""

from mimctl_det.datasets.base import BaseDetDataset
from mimctl_det.datasets.coco import CocoDataset
from mimctl_det.datasets.mixing import MultiImageMixDataset
from mimctl_det.datasets.voc import VOCDataset, XMLDataset
from mimctl_det.datasets.yolo import YOLODataset

__all__ = ["BaseDetDataset", "CocoDataset", "MultiImageMixDataset", "VOCDataset", "XMLDataset", "YOLODataset"]
