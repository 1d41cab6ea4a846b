_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rtmdet.py",
    "../_base_/datasets/coco_640.py",
    "../_base_/schedules/rtmdet_300e.py",
    "../_base_/test_time_aug.py",
]

default_hooks = dict(checkpoint=dict(interval=_base_.interval, max_keep_ckpts=3))

custom_hooks = [
    # The average is taken before checkpoints are written and validation runs (priority below NORMAL's 50).
    dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.0002, update_buffers=True, priority=49),
    dict(
        type="PipelineSwitchHook",
        switch_epoch=_base_.max_epochs - _base_.num_stage2_epochs,
        switch_pipeline=_base_.train_pipeline_stage2,
    ),
]
