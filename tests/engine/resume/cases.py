"""The trainings that are killed: loops, workers, ranks, averages, precision, optimizers, schedules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One training; `changes` are put into its config."""

    name: str
    loop: str = "epoch"
    workers: int = 0
    lasting: bool = False
    ranks: int = 1
    changes: Config = field(default_factory=dict)
    pipeline: tuple[str, ...] = ("Noise", "Target")
    sampler: str = "DefaultSampler"


ITERATIONS = 48
STEPS_AN_EPOCH = 8

FP16 = {
    "type": "AmpOptimWrapper",
    "dtype": "float16",
    "loss_scale": {"init_scale": 2.0**16, "growth_interval": 2},
    "optimizer": {"type": "AdamW", "lr": 0.02},
    "clip_grad": {"max_norm": 1.0},
}
ACCUMULATING = {"optimizer": {"type": "AdamW", "lr": 0.02}, "accumulative_counts": 3, "clip_grad": {"max_norm": 1.0}}
ADVERSARIES = {
    "model": {"type": "Adversaries"},
    "optim_wrapper": {"constructor": "OneEach"},
    "param_scheduler": {
        "generator": [{"type": "CosineAnnealingLR", "by_epoch": False, "T_max": ITERATIONS}],
        "critic": [{"type": "StepLR", "by_epoch": False, "step_size": 10, "gamma": 0.7}],
    },
}
WARM_UP = {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 11}
MULTI_STEP = [WARM_UP, {"type": "MultiStepLR", "by_epoch": True, "milestones": [2, 4], "gamma": 0.5}]
ONE_CYCLE = [{"type": "OneCycleLR", "by_epoch": False, "eta_max": 0.05, "total_steps": ITERATIONS}]
ON_PLATEAU = {"type": "ReduceOnPlateauLR", "monitor": "toy/accuracy", "patience": 0, "factor": 0.7}
MIXED = ("Noise", "MixWithEarlier", "Target")


def averaged(kind: str, **options: Any) -> Config:
    """Return a config with an average of the weights."""
    return {"custom_hooks": [{"type": "EMAHook", "ema_type": kind, "priority": 49, **options}]}


CASES = [
    Case(
        name="epochs, multi-step after warm-up, EMA",
        changes={**averaged("ExponentialMovingAverage", momentum=0.1), "param_scheduler": MULTI_STEP},
    ),
    Case(
        name="epochs, fp16, EMA with growing momentum",
        workers=2,
        lasting=True,
        changes={**averaged("ExpMomentumEMA", gamma=20, update_buffers=True), "optim_wrapper": FP16},
    ),
    Case(
        name="epochs, accumulated gradients, plateau, annealed EMA",
        workers=2,
        changes={
            **averaged("MomentumAnnealingEMA", gamma=5, begin_iter=7),
            "optim_wrapper": ACCUMULATING,
            "param_scheduler": [WARM_UP, ON_PLATEAU],
        },
    ),
    Case(
        name="iterations, one cycle, mean of weights",
        loop="iteration",
        changes={**averaged("StochasticWeightAverage", interval=2), "param_scheduler": ONE_CYCLE},
    ),
    Case(
        name="iterations without end, cached mixing, fp16",
        loop="iteration",
        workers=2,
        lasting=True,
        sampler="InfiniteSampler",
        pipeline=MIXED,
        changes={"optim_wrapper": {**FP16, "accumulative_counts": 2}, "param_scheduler": ONE_CYCLE},
    ),
    Case(name="iterations, two optimizers", loop="iteration", workers=2, changes=ADVERSARIES),
    Case(name="epochs, two optimizers, cached mixing", pipeline=MIXED, changes=ADVERSARIES),
    Case(
        name="epochs, a plain DataLoader",
        changes={**averaged("ExpMomentumEMA", gamma=20), "optim_wrapper": ACCUMULATING, "plain": True},
    ),
    Case(
        name="epochs, fp16, EMA, early stopping",
        ranks=2,
        changes={
            "optim_wrapper": FP16,
            "custom_hooks": [
                *averaged("ExpMomentumEMA", gamma=20)["custom_hooks"],
                {"type": "EarlyStoppingHook", "monitor": "toy/accuracy", "rule": "greater", "patience": 5},
            ],
        },
    ),
    Case(
        name="iterations, accumulated gradients, plateau",
        loop="iteration",
        workers=2,
        ranks=2,
        changes={"optim_wrapper": ACCUMULATING, "param_scheduler": [WARM_UP, {**ON_PLATEAU, "by_epoch": False}]},
    ),
    Case(
        name="epochs, cached mixing, multi-step",
        workers=2,
        lasting=True,
        ranks=2,
        pipeline=MIXED,
        changes={**averaged("ExponentialMovingAverage", momentum=0.05), "param_scheduler": MULTI_STEP},
    ),
    Case(
        name="iterations, two optimizers",
        loop="iteration",
        ranks=2,
        sampler="InfiniteSampler",
        changes={**ADVERSARIES, "model_wrapper_cfg": {"type": "DistributedAdversaries"}},
    ),
]


def config_of(case: Case, record: str, pause_s: float) -> Config:
    """Return the config of a case, which records into the folder `record`."""
    by_epoch = case.loop == "epoch"
    changes = dict(case.changes)
    hooks = list(changes.pop("custom_hooks", []))
    if changes.pop("plain", False):
        hooks.append({"type": "TakePlainLoader"})
    hooks.append({"type": "Record", "folder": record, "pause_s": pause_s})
    size = 4 * STEPS_AN_EPOCH * case.ranks
    dataset: Config = {"type": "RandomSet", "size": size - 1, "pipeline": [{"type": each} for each in case.pipeline]}
    held = {"type": "RandomSet", "size": 6, "test_mode": False, "pipeline": [{"type": "Noise"}, {"type": "Target"}]}
    return {
        "custom_imports": {"imports": ["killed_training"]},
        "model": {"type": "Regressor"},
        "train_dataloader": {
            "dataset": dataset,
            "sampler": {"type": case.sampler, "shuffle": True},
            "batch_size": 4,
            "num_workers": case.workers,
            "persistent_workers": case.lasting,
        },
        "val_dataloader": {"dataset": held, "sampler": {"type": "DefaultSampler", "shuffle": False}, "batch_size": 3},
        "val_evaluator": {"type": "MeanOutput"},
        "train_cfg": {"by_epoch": True, "max_epochs": ITERATIONS // STEPS_AN_EPOCH}
        if by_epoch
        else {"by_epoch": False, "max_iters": ITERATIONS, "val_interval": 7},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.03, "momentum": 0.9}},
        "default_hooks": {
            "logger": {"type": "LoggerHook", "interval": 5},
            "checkpoint": {
                "type": "CheckpointHook",
                "interval": 3,
                "by_epoch": False,
                "max_keep_ckpts": 3,
                "save_best": "toy/accuracy",
                "rule": "greater",
            },
        },
        "custom_hooks": hooks,
        "randomness": {"seed": 7},
        **changes,
    }
