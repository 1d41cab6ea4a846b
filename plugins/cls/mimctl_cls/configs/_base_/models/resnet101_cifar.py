# ResNet-101 for 32 x 32 images.
_base_ = "./resnet50_cifar.py"

model = dict(backbone=dict(depth=101))
