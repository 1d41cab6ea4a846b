"""Readers of the three folder layouts that people keep boxes in (COCO, Pascal VOC, YOLO): pure Python, no torch."""
