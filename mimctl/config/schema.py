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
    ]
)
"""Top-level keys that a run reads; every other top-level name is a variable of the config."""

TOOL_KEYS = frozenset({"custom_imports", "tta_model", "tta_pipeline"})
"""Top-level keys that tools beside a run read."""

VARIABLE_KEYS = frozenset(
    {"vis_backends", "evaluation", "optimizer", "train_pipeline", "val_pipeline", "test_pipeline"}
)
"""Names that configs use for variables by custom, so that no misspelling is meant."""

_DATALOADER = frozenset(
    [
        "dataset",
        "batch_size",
        "num_workers",
        "sampler",
        "batch_sampler",
        "collate_fn",
        "persistent_workers",
        "pin_memory",
        "drop_last",
        "shuffle",
        "timeout",
        "worker_init_fn",
        "multiprocessing_context",
        "generator",
        "prefetch_factor",
        "pin_memory_device",
        "num_batch_per_epoch",
        "in_order",
    ]
)

PLAIN_KEYS: dict[str, frozenset[str]] = {
    "auto_scale_lr": frozenset({"enable", "base_batch_size"}),
    "env_cfg": frozenset({"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"}),
    "randomness": frozenset({"seed", "deterministic", "diff_rank_seed"}),
    "train_dataloader": _DATALOADER,
    "val_dataloader": _DATALOADER,
    "test_dataloader": _DATALOADER,
}
"""Dotted path of a dict without `type` → every key it may have."""

PARAMWISE_KEYS = frozenset(
    [
        "lr_mult",
        "decay_mult",
        "custom_keys",
        "bias_lr_mult",
        "bias_decay_mult",
        "norm_decay_mult",
        "flat_decay_mult",
        "dwconv_decay_mult",
        "dcn_offset_lr_mult",
        "bypass_duplicate",
    ]
)
"""Keys of `optim_wrapper.paramwise_cfg` for the default constructor."""

DEFAULT_HOOKS = frozenset({"runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"})

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
    "param_scheduler": frozenset({"convert_to_iter_based", "epoch_length"}),
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
