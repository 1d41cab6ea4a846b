# ResNet-50 with the deep stem.
_base_ = "./resnet50.py"

model = dict(backbone=dict(type="ResNetV1c"))
