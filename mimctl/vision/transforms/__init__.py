"""Transforms of images with their annotations: numpy arrays and OpenCV, uint8 as long as possible."""

from mimctl.vision.transforms.affine import RandomAffine
from mimctl.vision.transforms.color import Normalize, PhotoMetricDistortion, YOLOXHSVRandomAug
from mimctl.vision.transforms.crop import CenterCrop, RandomCrop
from mimctl.vision.transforms.filter import FilterAnnotations
from mimctl.vision.transforms.flip import RandomFlip
from mimctl.vision.transforms.loading import LoadAnnotations, LoadImageFromFile, LoadImageFromNDArray
from mimctl.vision.transforms.mixup import CachedMixUp, MixUp
from mimctl.vision.transforms.mosaic import CachedMosaic, Mosaic
from mimctl.vision.transforms.pad import Pad
from mimctl.vision.transforms.resize import RandomChoiceResize, RandomResize, Resize
from mimctl.vision.transforms.ssd import Expand, MinIoURandomCrop
from mimctl.vision.transforms.tta import TestTimeAug

__all__ = [
    "CachedMixUp",
    "CachedMosaic",
    "CenterCrop",
    "Expand",
    "FilterAnnotations",
    "LoadAnnotations",
    "LoadImageFromFile",
    "LoadImageFromNDArray",
    "MinIoURandomCrop",
    "MixUp",
    "Mosaic",
    "Normalize",
    "Pad",
    "PhotoMetricDistortion",
    "RandomAffine",
    "RandomChoiceResize",
    "RandomCrop",
    "RandomFlip",
    "RandomResize",
    "Resize",
    "TestTimeAug",
    "YOLOXHSVRandomAug",
]
