"""What is known of a config's shape without any type: top-level keys, plain dicts, what builders fill in."""

from __future__ import annotations

RUNNER_KEYS = frozenset(
    [
        "model",
        "work_dir",
        "train_dataloader",
        "val_dataloader",
        "test_dataloader",
        "train_cfg",
        "val_cfg",
        "test_cfg",
        "auto_scale_lr",
        "optim_wrapper",
        "param_scheduler",
        "val_evaluator",
        "test_evaluator",
        "default_hooks",
        "custom_hooks",
        "data_preprocessor",
        "load_from",
        "resume",
        "launcher",
        "env_cfg",
        "log_processor",
        "log_level",
        "visualizer",
        "default_scope",
        "randomness",
        "experiment_name",
        "fast_dev_run",
    ]
)
"""Top-level keys that a run reads; every other top-level name is a variable of the config."""

TOOL_KEYS = frozenset(
    [
        "custom_imports",
        "tta_model",
        "tta_pipeline",
        "compile",
        "precision",
        "model_wrapper_cfg",
        "find_unused_parameters",
        "sync_bn",
    ]
)
"""Top-level keys beside the Runner's arguments: what tools read, and how the model and the optimizer are wrapped."""

VARIABLE_KEYS = frozenset(
    {"vis_backends", "evaluation", "optimizer", "train_pipeline", "val_pipeline", "test_pipeline"}
)
"""Names that configs use for variables by custom, so that no misspelling is meant."""

OLD_KEYS = {
    "lr_config": "write `param_scheduler`",
    "checkpoint_config": "write `default_hooks.checkpoint`",
    "log_config": "write `default_hooks.logger` and `visualizer`",
    "total_epochs": "write `train_cfg.max_epochs`",
    "dist_params": "write `env_cfg.dist_cfg`",
    "workflow": "a run trains and validates as `train_cfg` says",
    "samples_per_gpu": "write `train_dataloader.batch_size`",
    "workers_per_gpu": "write `train_dataloader.num_workers`",
}
"""Top-level keys of the generation of configs before, which nothing reads any more → what stands for them now."""

MARKS = frozenset({"type", "_scope_", "_delete_"})
"""Keys that are no arguments."""

_DATALOADER = {
    "dataset": "dict",
    "batch_size": "int",
    "num_workers": "int",
    "sampler": "dict | None",
    "batch_sampler": "dict | None",
    "collate_fn": "dict | str | None",
    "persistent_workers": "bool",
    "pin_memory": "bool",
    "drop_last": "bool",
    "shuffle": "bool | None",
    "timeout": "float",
    "worker_init_fn": "dict | str | None",
    "multiprocessing_context": "str | None",
    "generator": "Any",
    "prefetch_factor": "int | None",
    "pin_memory_device": "str",
    "num_batch_per_epoch": "int | None",
    "in_order": "bool",
}

PLAIN_VALUES: dict[str, dict[str, str]] = {
    "auto_scale_lr": {"enable": "bool", "base_batch_size": "int"},
    "env_cfg": {
        "cudnn_benchmark": "bool",
        "mp_cfg": "dict | None",
        "dist_cfg": "dict | None",
        "resource_limit": "int",
    },
    "env_cfg.mp_cfg": {
        "mp_start_method": "Literal['fork', 'spawn', 'forkserver'] | None",
        "opencv_num_threads": "int | None",
    },
    "env_cfg.dist_cfg": {"backend": "str", "timeout": "Any"},
    "randomness": {"seed": "int | None", "deterministic": "bool", "diff_rank_seed": "bool"},
    "train_dataloader": _DATALOADER,
    "val_dataloader": _DATALOADER,
    "test_dataloader": _DATALOADER,
    "optim_wrapper.clip_grad": {
        "type": "Literal['norm', 'value']",
        "max_norm": "float",
        "norm_type": "float | str",
        "clip_value": "float",
        "error_if_nonfinite": "bool",
        "foreach": "bool | None",
    },
}
"""Dotted path of a dict without `type` → every key it may have, and the values (as an annotation) of that key."""

PLAIN_KEYS: dict[str, frozenset[str]] = {path: frozenset(values) for path, values in PLAIN_VALUES.items()}

TOP_VALUES = {
    "model": "dict",
    "work_dir": "str | None",
    "train_dataloader": "dict | None",
    "val_dataloader": "dict | Sequence | None",
    "test_dataloader": "dict | Sequence | None",
    "train_cfg": "dict | None",
    "val_cfg": "dict | None",
    "test_cfg": "dict | None",
    "auto_scale_lr": "dict | None",
    "optim_wrapper": "dict | None",
    "param_scheduler": "dict | Sequence | None",
    "val_evaluator": "dict | Sequence | None",
    "test_evaluator": "dict | Sequence | None",
    "default_hooks": "dict | None",
    "custom_hooks": "Sequence | None",
    "data_preprocessor": "dict | None",
    "load_from": "str | None",
    "resume": "bool | str | None",
    "launcher": "Literal['none', 'pytorch', 'slurm', 'mpi']",
    "env_cfg": "dict | None",
    "log_processor": "dict | None",
    "visualizer": "dict | None",
    "default_scope": "str | None",
    "randomness": "dict | None",
    "experiment_name": "str | None",
    "fast_dev_run": "bool | int",
    "compile": "bool | dict | None",
    "precision": "Literal['32', '16-mixed', 'bf16-mixed', 32] | None",
}
"""Top-level key → the values it may have, as an annotation."""

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "optim_wrapper": {"loss_scale": ("dynamic",), "dtype": ("float16", "bfloat16", "float32", "float64")},
    "metric": {
        "collect_device": ("cpu", "gpu"),
        "CocoMetric.metric": ("bbox", "segm", "proposal", "proposal_fast"),
        "VOCMetric.metric": ("mAP", "recall"),
    },
    "hook": {"rule": ("greater", "less")},
    "transform": {
        "direction": ("horizontal", "vertical", "diagonal"),
        "backend": ("cv2", "pillow"),
        "imdecode_backend": ("cv2", "turbojpeg", "pillow", "tifffile"),
        "interpolation": ("nearest", "bilinear", "bicubic", "area", "lanczos", "box", "hamming"),
        "color_type": (
            "color",
            "grayscale",
            "unchanged",
            "color_ignore_orientation",
            "grayscale_ignore_orientation",
        ),
        "padding_mode": ("constant", "edge", "reflect", "symmetric"),
    },
    "weight_initializer": {"distribution": ("uniform", "normal")},
    "model": {"reduction": ("none", "mean", "sum")},
}
"""Kind → argument (or `Type.argument`) → the words that it may be."""

KNOWN_WELL: dict[str, tuple[str, ...]] = {
    "metainfo": ("classes", "palette"),
    "filter_cfg": ("filter_empty_gt", "min_size", "bbox_min_size"),
    "data_prefix": ("img", "img_path", "seg", "sub_data_root"),
}
"""Argument of a dataset → keys of its dict, beside which toolboxes have others."""

BACKENDS = ("nccl", "gloo", "mpi", "ucc", "xccl", "hccl", "cncl", "mccl", "smddp")
SUPPRESSIONS = ("nms", "soft_nms", "nms_rotated", "nms_quadri", "nms_match", "batched_nms")

LOG_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET")

PARAMWISE_VALUES = {
    "custom_keys": "dict",
    "bypass_duplicate": "bool",
    "bias_lr_mult": "float",
    "bias_decay_mult": "float",
    "norm_decay_mult": "float",
    "flat_decay_mult": "float",
    "dwconv_decay_mult": "float",
    "dcn_offset_lr_mult": "float",
}
"""Keys of `optim_wrapper.paramwise_cfg` for the default constructor, and the values they may have."""

PARAMWISE_KEYS = frozenset(PARAMWISE_VALUES)

DEFAULT_CONSTRUCTOR = "DefaultOptimWrapperConstructor"

NAMED_TYPES = {
    "optim_wrapper.constructor": "optim_wrapper_constructor",
    "ema_type": "model",
    "runner_type": "runner",
}
"""Dotted path, or the last part of it, of values that name a type by themselves → its kind."""

DEFAULT_HOOKS = {
    "runtime_info": "RuntimeInfoHook",
    "timer": "IterTimerHook",
    "sampler_seed": "DistSamplerSeedHook",
    "logger": "LoggerHook",
    "param_scheduler": "ParamSchedulerHook",
    "checkpoint": "CheckpointHook",
}
"""Name in `default_hooks` → the hook that acts under it."""

SINGLE_HOOKS = frozenset({*DEFAULT_HOOKS.values(), "EMAHook", "SyncBuffersHook", "EmptyCacheHook"})
"""Hooks of which a run has one."""

DEFAULT_TYPES = {
    "optim_wrapper": "OptimWrapper",
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "log_processor": "LogProcessor",
    **{f"default_hooks.{name}": hook for name, hook in DEFAULT_HOOKS.items()},
}
"""Dotted path → the type that a builder takes where the config names none."""

ENGINE_KINDS = frozenset(
    [
        "optimizer",
        "optim_wrapper",
        "param_scheduler",
        "loop",
        "hook",
        "data_sampler",
        "log_processor",
        "weight_initializer",
        "vis_backend",
    ]
)
"""Kinds whose names toolboxes leave to the engine."""

FILLED: dict[str, frozenset[str]] = {
    "loop": frozenset({"runner", "dataloader", "evaluator"}),
    "optimizer": frozenset({"params"}),
    "param_scheduler": frozenset({"optimizer"}),
    "data_sampler": frozenset({"dataset", "sampler", "batch_size"}),
    "vis_backend": frozenset({"save_dir"}),
    "model_wrapper": frozenset({"module"}),
}
"""Kind → arguments that the builder gives, so that a config may leave them out."""

ALSO_TAKEN: dict[str, frozenset[str]] = {
    "optim_wrapper": frozenset({"constructor", "paramwise_cfg"}),
    "param_scheduler": frozenset({"convert_to_iter_based", "by_optimizer_step", "epoch_length"}),
    "loop": frozenset({"by_epoch"}),
    "weight_initializer": frozenset({"override"}),
    "hook": frozenset({"priority"}),
}
"""Kind → keys that the builder takes for itself before it calls the type."""

ALSO_TAKEN_AT: dict[str, frozenset[str]] = {
    "norm_cfg": frozenset({"requires_grad"}),
    "upsample_cfg": frozenset({"scale_factor"}),
}
"""Name of the place → keys that the layer builder takes for itself whatever type stands there."""

COMPLETE_KINDS = frozenset(
    [
        "dataset",
        "transform",
        "metric",
        "hook",
        "optimizer",
        "optim_wrapper",
        "param_scheduler",
        "loop",
        "visualizer",
        "weight_initializer",
    ]
)
"""Kinds whose configs name every required argument (others get some from the model that builds them)."""

BY_KEY: dict[str, tuple[str, ...]] = {
    "dataset": ("dataset",),
    "datasets": ("dataset",),
    "pipeline": ("transform",),
    "switch_pipeline": ("transform",),
    "batch_sampler": ("data_sampler",),
    "vis_backends": ("vis_backend",),
    "backbone": ("model",),
    "neck": ("model",),
    "data_preprocessor": ("model",),
}
BY_PATH: dict[str, tuple[str, ...]] = {
    "model": ("model",),
    "train_dataloader.sampler": ("data_sampler",),
    "val_dataloader.sampler": ("data_sampler",),
    "test_dataloader.sampler": ("data_sampler",),
    "train_cfg": ("loop",),
    "val_cfg": ("loop",),
    "test_cfg": ("loop",),
    "optim_wrapper": ("optim_wrapper",),
    "optim_wrapper.optimizer": ("optimizer",),
    "param_scheduler": ("param_scheduler",),
    "val_evaluator": ("metric", "evaluator"),
    "test_evaluator": ("metric", "evaluator"),
    "visualizer": ("visualizer",),
    "log_processor": ("log_processor",),
    "custom_hooks": ("hook",),
}

NEEDS_TYPE = frozenset({"dataset", "transform", "optimizer", "param_scheduler", "metric", "hook"})

NOT_TYPES = frozenset({"nms", "nms_cfg", "score_converter"})
"""Keys whose dicts use `type` for something that no registry holds."""


def also_taken(kind: str, path: str) -> frozenset[str]:
    """Return the keys that builders take for themselves from a typed dict of a kind at a dotted path."""
    return ALSO_TAKEN.get(kind, frozenset()) | ALSO_TAKEN_AT.get(path.rpartition(".")[2], frozenset())


def expected_kinds(path: str) -> tuple[str, ...] | None:
    """Return the kinds that a typed dict at a dotted path may be of, or None where any may stand."""
    names = [part for part in path.split(".") if not part.isdigit()]
    if names[0] == "default_hooks" and len(names) == 2:
        return ("hook",)
    by_path = BY_PATH.get(".".join(names))
    if by_path is not None:
        return by_path
    if names[-1].endswith("_head") and names[0] == "model":
        return ("model",)
    return BY_KEY.get(names[-1])
