# LeNet-5 on MNIST's test files alone: the first 8,000 digits train, the last 2,000 test; a minute on two CPU cores.
_base_ = "./lenet5_mnist.py"

max_epochs = 12

# Digits shifted by up to two pixels; a mirrored one would be another sign, or none.
train_pipeline = [
    dict(type="Resize", scale=32),
    dict(type="RandomCrop", crop_size=32, padding=2),
    dict(type="PackInputs"),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=0,  # handing digits over from a worker costs more than making them
    dataset=dict(test_mode=True, indices=8000, pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=0, dataset=dict(indices=-2000))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=0.0005,
        begin=1,
        end=max_epochs,
        T_max=max_epochs - 1,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=64)

default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(max_keep_ckpts=1, save_best="accuracy/top1"),
)
