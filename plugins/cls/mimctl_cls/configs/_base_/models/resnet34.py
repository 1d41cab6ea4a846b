# ResNet-34.
_base_ = "./resnet18.py"

model = dict(backbone=dict(depth=34))
