default_scope = "grain"
custom_imports = dict(imports=["grain", "mmdet.models"], allow_failed_imports=True)

model = dict(
    type="SeedSorter",
    backbone=dict(type="SeedBackbone", channels=4),
    data_preprocessor=dict(type="mmengine.ImgDataPreprocessor"),
)
pipeline = [dict(type="BrightenSeed", delta=0.02), dict(type="PackSeed")]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="SeedDataset", data_root="data", ann_file="seeds.json", data_prefix=dict(img_path="images"),
        pipeline=pipeline,
    ),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=train_dataloader["dataset"],
)
val_evaluator = dict(type="Purity")
train_cfg = dict(type="GentleLoop", max_epochs=2, rest=3)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
custom_hooks = [dict(type="CountSeeds")]
