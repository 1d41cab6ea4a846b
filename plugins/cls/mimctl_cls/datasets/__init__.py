"""Datasets of classification: folders of classes, annotation files, MNIST and CIFAR."""
