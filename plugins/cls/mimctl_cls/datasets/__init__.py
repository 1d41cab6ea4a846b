"""Datasets of classification: folders of classes, annotation files, MNIST, CIFAR, ImageNet, several labels an image."""

from mimctl_cls.datasets.base import BaseDataset
from mimctl_cls.datasets.cifar import CIFAR10, CIFAR100
from mimctl_cls.datasets.custom import CustomDataset
from mimctl_cls.datasets.imagenet import ImageNet
from mimctl_cls.datasets.mnist import MNIST, FashionMNIST
from mimctl_cls.datasets.multi_label import MultiLabelDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "BaseDataset",
    "CustomDataset",
    "FashionMNIST",
    "ImageNet",
    "MultiLabelDataset",
]
