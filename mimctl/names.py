"""Where the names that people know are: what `mimctl.engine` and `mimctl.vision` offer, and what old names became.

Plain data for both halves: the torch side's packages import from these tables at the first use of a name, the control
plane rewrites imports by them. Nothing is imported here.
"""

from __future__ import annotations

_ENGINE = {
    "mimctl.config": "Config ConfigDict LazyReference",
    "mimctl.engine.registry": (
        "Registry RUNNERS RUNNER_CONSTRUCTORS LOOPS HOOKS STRATEGIES DATASETS DATA_SAMPLERS TRANSFORMS FUNCTIONS "
        "MODELS MODEL_WRAPPERS WEIGHT_INITIALIZERS OPTIMIZERS OPTIM_WRAPPERS OPTIM_WRAPPER_CONSTRUCTORS "
        "PARAM_SCHEDULERS METRICS EVALUATOR EVALUATORS TASK_UTILS VISUALIZERS VISBACKENDS LOG_PROCESSORS INFERENCERS "
        "COLLATE_FUNCTIONS"
    ),
    "mimctl.engine.lookup.scopes": "DefaultScope carry_scope init_default_scope use_scope",
    "mimctl.engine.lookup.builders": "build_from_cfg build_model_from_cfg build_runner_from_cfg",
    "mimctl.engine.sequences": (
        "concat_list is_list_of is_seq_of is_str is_tuple_of iter_cast list_cast slice_list to_1tuple to_2tuple "
        "to_3tuple to_4tuple to_ntuple tuple_cast"
    ),
    "mimctl.engine.introspection": (
        "TORCH_VERSION apply_to deprecated_api_warning digit_version get_object_from_string has_method "
        "import_modules_from_strings is_installed is_method_overridden merge_dict requires_package"
    ),
    "mimctl.engine.reporting.progress": "ProgressBar Timer track_iter_progress track_progress",
    "mimctl.engine.reporting.log": "MMLogger print_log",
    "mimctl.engine.devices": "get_device get_max_cuda_memory is_cuda_available is_mps_available",
    "mimctl.engine.runner": "Runner",
    "mimctl.engine.running.base_loop": "BaseLoop",
    "mimctl.engine.running.loops": "TrainLoop EpochBasedTrainLoop IterBasedTrainLoop",
    "mimctl.engine.running.evaluation_loops": "EvaluationLoop ValLoop TestLoop",
    "mimctl.engine.reporting.log_processor": "LogProcessor",
    "mimctl.engine.model": (
        "AveragedModel BaseAveragedModel BaseDataPreprocessor BaseModel BaseModule BaseTTAModel Caffe2XavierInit "
        "ConstantInit ExponentialMovingAverage ImgDataPreprocessor KaimingInit ModuleDict ModuleList "
        "MomentumAnnealingEMA NormalInit PretrainedInit Sequential StochasticWeightAverage TruncNormalInit UniformInit "
        "XavierInit BaseInit bias_init_with_prob caffe2_xavier_init constant_init initialize kaiming_init normal_init "
        "stack_batch trunc_normal_init uniform_init xavier_init"
    ),
    "mimctl.engine.ranks.parallel": "detect_anomalous_params",
    "mimctl.engine.ranks.sync_batch_norm": "convert_sync_batchnorm revert_sync_batchnorm",
    "mimctl.engine.data": (
        "AspectRatioBatchSampler BaseDataset BaseTransform ClassBalancedDataset Compose ConcatDataset DefaultSampler "
        "InfiniteSampler KeyMapper RandomApply RandomChoice RepeatDataset TransformBroadcaster build_dataloader "
        "default_collate pseudo_collate worker_init_fn"
    ),
    "mimctl.engine.structures": "BaseDataElement InstanceData LabelData PixelData",
    "mimctl.engine.hooks": (
        "CheckpointHook DistSamplerSeedHook EMAHook EarlyStoppingHook EmptyCacheHook Hook IterTimerHook LoggerHook "
        "MemoryProfilerHook ParamSchedulerHook PipelineSwitchHook PrepareTTAHook ProfilerHook RuntimeInfoHook "
        "SyncBuffersHook build_runner_with_tta get_priority"
    ),
    "mimctl.engine.optim": (
        "AmpOptimWrapper DefaultOptimWrapperConstructor LearningRateDecayOptimWrapperConstructor "
        "LearningRateDecayOptimizerConstructor OptimWrapper OptimWrapperDict build_optim_wrapper"
    ),
    "mimctl.engine.evaluation": "BaseMetric DumpResults Evaluator get_metric_value",
    "mimctl.engine.running.execution": (
        "MMDistributedDataParallel Priority autocast force_full_init has_batch_norm is_model_wrapper set_random_seed"
    ),
    "mimctl.engine.command_line": "DictAction",
    "mimctl.engine.reporting.visualization": "Visualizer",
    "mimctl.engine.reporting.backends": "BaseVisBackend LocalVisBackend",
    "mimctl.engine.reporting.services": "MLflowVisBackend TensorboardVisBackend WandbVisBackend",
    "mimctl.engine.reporting.messages": "MessageHub ScalarHistory",
    "mimctl.engine.files.fileio": "HttpBackend LocalBackend exists get get_text put put_text",
    "mimctl.engine.files.datafiles": "dict_from_file dump list_from_file load",
    "mimctl.engine.files.folders": (
        "check_file_exist copyfile copyfile_from_local copyfile_to_local copytree fopen get_local_path is_abs "
        "is_filepath isdir isfile join_path list_dir_or_file mkdir_or_exist remove rmtree scandir symlink"
    ),
    "mimctl.engine.ranks.distributed": (
        "all_gather_object all_reduce barrier collect_results gather_object get_local_rank get_rank get_world_size "
        "is_distributed is_main_process"
    ),
    "mimctl.engine.ranks.collectives": (
        "all_gather all_reduce_dict all_reduce_params broadcast broadcast_object_list cast_data_device "
        "collect_results_cpu collect_results_gpu gather get_backend get_comm_device get_data_device get_default_group "
        "get_dist_info get_local_size infer_launcher init_dist master_only sync_random_seed"
    ),
    "mimctl.engine.checkpoints.weights": (
        "CheckpointLoader find_latest_checkpoint get_state_dict load_checkpoint load_state_dict save_checkpoint "
        "weights_to_cpu"
    ),
    "mimctl.engine.schedule": "ParamScheduler build_param_schedulers",
    "mimctl.engine.schedule.cosine": "CosineAnnealingParamScheduler CosineRestartParamScheduler",
    "mimctl.engine.schedule.learning_rate": (
        "ConstantLR CosineAnnealingLR CosineRestartLR ExponentialLR LRSchedulerMixin LinearLR MultiStepLR OneCycleLR "
        "PolyLR QuadraticWarmupLR ReduceOnPlateauLR StepLR"
    ),
    "mimctl.engine.schedule.momentum": (
        "ConstantMomentum CosineAnnealingMomentum CosineRestartMomentum ExponentialMomentum LinearMomentum "
        "MomentumSchedulerMixin MultiStepMomentum OneCycleMomentum PolyMomentum QuadraticWarmupMomentum "
        "ReduceOnPlateauMomentum StepMomentum"
    ),
    "mimctl.engine.schedule.one_cycle": "OneCycleParamScheduler",
    "mimctl.engine.schedule.plateau": "ReduceOnPlateauParamScheduler",
    "mimctl.engine.schedule.policies": (
        "ConstantParamScheduler ExponentialParamScheduler LinearParamScheduler MultiStepParamScheduler "
        "PolyParamScheduler QuadraticWarmupParamScheduler StepParamScheduler"
    ),
}

_VISION = {
    "mimctl.engine.registry": "TRANSFORMS",
    "mimctl.engine.data": "BaseTransform Compose KeyMapper RandomApply RandomChoice TransformBroadcaster",
    "mimctl.engine.data.draws": "avoid_cache_randomness cache_randomness",
    "mimctl.vision.transforms": (
        "CachedMixUp CachedMosaic CenterCrop Expand FilterAnnotations LoadAnnotations ImageToTensor "
        "LoadImageFromFile LoadImageFromNDArray MinIoURandomCrop MixUp Mosaic MultiScaleFlipAug Normalize Pad "
        "PhotoMetricDistortion RandomAffine RandomChoiceResize RandomCrop RandomFlip RandomGrayscale RandomResize "
        "Resize TestTimeAug ToTensor YOLOXHSVRandomAug to_tensor"
    ),
    "mimctl.vision.structures": (
        "DetDataSample bbox2distance bbox_cxcywh_to_xyxy bbox_overlaps bbox_xyxy_to_cxcywh distance2bbox scale_boxes"
    ),
    "mimctl.vision.structures.masks": "BitmapMasks PolygonMasks",
    "mimctl.vision.layers": (
        "AdaptivePadding CSPLayer CSPNeXtBlock ChannelAttention Clamp ContextBlock Conv2dAdaptivePadding ConvAWS2d "
        "ConvModule ConvWS2d DarknetBottleneck DepthwiseSeparableConvModule DropPath Dropout FFN HSigmoid HSwish "
        "LayerNorm2d LayerScale MultiheadAttention NonLocal2d PatchEmbed PatchMerging PixelShufflePack SPPBottleneck "
        "Scale SyncBatchNorm build_activation_layer build_conv_layer build_dropout build_norm_layer "
        "build_padding_layer build_plugin_layer build_upsample_layer conv_ws_2d drop_path fuse_conv_bn is_norm"
    ),
    "torch.nn": "Conv2d Conv3d ConvTranspose2d ConvTranspose3d Linear MaxPool2d MaxPool3d",
    "mimctl.vision.losses": (
        "CIoULoss DIoULoss GIoULoss IoULoss QualityFocalLoss ciou_loss diou_loss giou_loss iou_loss "
        "quality_focal_loss weight_reduce_loss"
    ),
    "mimctl.vision.backbones": "CSPNeXt",
    "mimctl.vision.necks": "CSPNeXtPAFPN",
    "mimctl.vision.hints": (
        "ConfigType InstanceList MultiConfig OptConfigType OptInstanceList OptMultiConfig OptPixelList OptSampleList "
        "PixelList SampleList"
    ),
    "mimctl.vision.ops": (
        "DeformConv2d DeformConv2dPack ModulatedDeformConv2d ModulatedDeformConv2dPack MultiScaleDeformableAttention "
        "MultiScaleDeformableAttnFunction RoIAlign RoIAlignRotated SigmoidFocalLoss SimpleRoIAlign batched_nms "
        "box_iou_rotated deform_conv2d modulated_deform_conv2d multi_scale_deformable_attn_pytorch nms nms_rotated "
        "point_sample rel_roi_point_to_rel_img_point roi_align roi_align_rotated sigmoid_focal_loss soft_nms"
    ),
}


def _by_name(modules: dict[str, str]) -> dict[str, str]:
    return {name: module for module, names in modules.items() for name in names.split()}


ENGINE: dict[str, str] = _by_name(_ENGINE)
"""Name in `mimctl.engine` → the module that defines it."""

VISION: dict[str, str] = _by_name(_VISION)
"""Name in `mimctl.vision` → the module that defines it."""

EXPORTS: dict[str, dict[str, str]] = {"mimctl.engine": ENGINE, "mimctl.vision": VISION}
"""Package → its names → the module that defines each."""

RENAMED: dict[str, str] = {
    "mmengine.HTTPBackend": "mimctl.engine.HttpBackend",
    "mmengine.HardDiskBackend": "mimctl.engine.LocalBackend",
    "mmengine.HistoryBuffer": "mimctl.engine.ScalarHistory",
    "mmengine.fileio.HTTPBackend": "mimctl.engine.HttpBackend",
    "mmengine.fileio.HardDiskBackend": "mimctl.engine.LocalBackend",
    "mmcv.cnn.Swish": "torch.nn.SiLU",
    "mmcv.cnn.bricks.Swish": "torch.nn.SiLU",
    "mmcv.cnn.bricks.swish.Swish": "torch.nn.SiLU",
    "mmengine.model.weight_init.trunc_normal_": "torch.nn.init.trunc_normal_",
    "mmengine.utils.dl_utils.is_norm": "mimctl.vision.is_norm",
    "mmengine.utils.dl_utils.torch_meshgrid": "torch.meshgrid",
    "mmengine.logging.HistoryBuffer": "mimctl.engine.ScalarHistory",
    "mmengine.utils.dl_utils.parrots_wrapper._BatchNorm": "torch.nn.modules.batchnorm._BatchNorm",
    "mmengine.utils.dl_utils.parrots_wrapper._InstanceNorm": "torch.nn.modules.instancenorm._InstanceNorm",
}
"""Old dotted name → ours or torch's, where it is another one, or not of the same package."""
