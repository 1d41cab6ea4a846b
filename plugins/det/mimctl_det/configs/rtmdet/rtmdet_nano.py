# A start for photographs of one's own (`mimctl train det rtmdet_nano --data DIR`): the nano size at 320 pixels, with a
# schedule for hundreds to thousands of images. As it stands it trains on COCO.
_base_ = "./rtmdet_nano_8xb32-300e_coco.py"

max_epochs = 100
num_stage2_epochs = 20
base_lr = 0.002

train_dataloader = dict(batch_size=16, num_workers=2)
val_dataloader = dict(batch_size=16, num_workers=2)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=max_epochs, val_interval=5, dynamic_intervals=[(max_epochs - num_stage2_epochs, 2)])

optim_wrapper = dict(optimizer=dict(lr=base_lr), clip_grad=dict(max_norm=35, norm_type=2))

param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        eta_min=base_lr * 0.05,
        begin=max_epochs // 2,
        end=max_epochs,
        T_max=max_epochs // 2,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]

default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=5, max_keep_ckpts=1, save_best="coco/bbox_mAP"),
)
custom_hooks = [
    # `gamma` is a tenth of the usual one: the average must count within a few hundred steps.
    dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.001, gamma=200, update_buffers=True, priority=49),
    dict(
        type="PipelineSwitchHook",
        switch_epoch=max_epochs - num_stage2_epochs,
        switch_pipeline=_base_.train_pipeline_stage2,
    ),
]
