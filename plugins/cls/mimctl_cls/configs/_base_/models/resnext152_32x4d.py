# ResNeXt-152, 32 groups of 4 channels.
_base_ = "./resnext50_32x4d.py"

model = dict(backbone=dict(depth=152))
