"""Transforms of images with their annotations: numpy arrays and OpenCV, uint8 as long as possible."""

from mimctl.vision.transforms.affine import RandomAffine
from mimctl.vision.transforms.color import Normalize, PhotoMetricDistortion, YOLOXHSVRandomAug
from mimctl.vision.transforms.crop import CenterCrop, RandomCrop
from mimctl.vision.transforms.filter import FilterAnnotations
from mimctl.vision.transforms.flip import RandomFlip
from mimctl.vision.transforms.grayscale import RandomGrayscale
from mimctl.vision.transforms.loading import LoadAnnotations, LoadImageFromFile, LoadImageFromNDArray
from mimctl.vision.transforms.mixup import CachedMixUp, MixUp
from mimctl.vision.transforms.mosaic import CachedMosaic, Mosaic
from mimctl.vision.transforms.pad import Pad
from mimctl.vision.transforms.resize import RandomChoiceResize, RandomResize, Resize
from mimctl.vision.transforms.ssd import Expand, MinIoURandomCrop
from mimctl.vision.transforms.tensors import ImageToTensor, ToTensor, to_tensor
from mimctl.vision.transforms.tta import MultiScaleFlipAug, TestTimeAug

__all__ = [
    "CachedMixUp",
    "CachedMosaic",
    "CenterCrop",
    "Expand",
    "FilterAnnotations",
    "ImageToTensor",
    "LoadAnnotations",
    "LoadImageFromFile",
    "LoadImageFromNDArray",
    "MinIoURandomCrop",
    "MixUp",
    "Mosaic",
    "MultiScaleFlipAug",
    "Normalize",
    "Pad",
    "PhotoMetricDistortion",
    "RandomAffine",
    "RandomChoiceResize",
    "RandomCrop",
    "RandomFlip",
    "RandomGrayscale",
    "RandomResize",
    "Resize",
    "TestTimeAug",
    "ToTensor",
    "YOLOXHSVRandomAug",
    "to_tensor",
]
