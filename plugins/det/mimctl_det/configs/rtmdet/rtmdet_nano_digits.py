# The tutorial's detector: nano, ten classes of handwritten digits, scenes of 128 pixels, minutes on two CPU cores.
_base_ = "./rtmdet_nano.py"

classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
data_root = "data/digits/"
max_epochs = 8
base_lr = 0.014

model = dict(bbox_head=dict(num_classes=10), test_cfg=dict(max_per_img=100))

# No augmentation: a mirrored digit is another sign, a cropped one is none, and the scenes are varied as they are.
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="Pad", size=(128, 128), pad_val=dict(img=(114, 114, 114))),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="Pad", size=(128, 128), pad_val=dict(img=(114, 114, 114))),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]


train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file="annotations/train.json",
        data_prefix=dict(img="train/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=0),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file="annotations/val.json",
        data_prefix=dict(img="val/"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file="annotations/test.json",
        data_prefix=dict(img="test/"),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
test_evaluator = dict(ann_file=data_root + "annotations/test.json")

train_cfg = dict(max_epochs=max_epochs, val_interval=4, dynamic_intervals=[])
optim_wrapper = dict(optimizer=dict(lr=base_lr, fused=True))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        eta_min=base_lr * 0.05,
        begin=max_epochs // 3,
        end=max_epochs,
        T_max=max_epochs - max_epochs // 3,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]

default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=4, max_keep_ckpts=1, save_best=None))
custom_hooks = [
    dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.002, gamma=100, update_buffers=True, priority=49),
]
