# ResNet-152 with the deep stem and pooling shortcuts.
_base_ = "./resnetv1d50.py"

model = dict(backbone=dict(depth=152))
