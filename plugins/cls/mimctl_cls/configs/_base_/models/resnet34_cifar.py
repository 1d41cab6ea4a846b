# ResNet-34 for 32 x 32 images.
_base_ = "./resnet18_cifar.py"

model = dict(backbone=dict(depth=34))
