# ResNet-50 with the deep stem and pooling shortcuts.
_base_ = "./resnet50.py"

model = dict(backbone=dict(type="ResNetV1d"))
