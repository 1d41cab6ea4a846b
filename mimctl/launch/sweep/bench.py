"""From the point of a trial to all that starts it, checked before anything does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mimctl.errors import UsageError
from mimctl.launch.model import ConfigOptions, LaunchOptions, LaunchPlan, RunRequest, SlurmOptions
from mimctl.launch.place import Workplace
from mimctl.launch.plan import make_plan
from mimctl.launch.prepare import Experiment, FetchWeights, make_request, prepare_experiment, weights_of
from mimctl.launch.runs.record import RunRecord, record_of
from mimctl.launch.sweep.axes import Point
from mimctl.launch.sweep.model import SweepOptions, run_dir, trial_dir
from mimctl.spec import LauncherFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A trial that can be started."""

    request: RunRequest
    plan: LaunchPlan
    record: RunRecord
    last_epoch: int | None
    last_iter: int | None

    def is_last(self, event: Mapping[str, Any]) -> bool:
        """Return whether a validation (its event) is the training's last one."""
        if self.last_epoch is not None:
            return int(event.get("epoch") or 0) >= self.last_epoch
        return self.last_iter is not None and int(event.get("iter") or 0) >= self.last_iter


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the trials of a sweep have in common."""

    folder: Path
    plugin: str
    config: ConfigOptions
    launch: LaunchOptions
    options: SweepOptions
    place: Workplace
    fetch: FetchWeights
    job: tuple[LauncherFacts, SlurmOptions]
    """Who runs where, and what Slurm is told, the same for each trial."""

    def prepare(self, number: int, point: Point, *, goes_on: bool = False) -> Prepared:
        """Return a trial, its config checked; `goes_on` from its newest checkpoint, if there is one.

        Raises ConfigError for a mistake in the point, NetworkError where weights are not at hand.
        """
        experiment = self._experiment(number, point)
        request = make_request(
            experiment,
            self.place,
            self.launch,
            action="train",
            weights={} if self.options.dry_run else weights_of(experiment, self.fetch),
            job=self.job,
            resume="auto" if goes_on else None,
            seed=self.options.seed,
            amp=self.options.amp,
        )
        request = replace(request, run_dir=run_dir(self.folder, number))
        plan = make_plan(request)
        name = f"{self.launch.name or self.folder.name}-{number}"
        train_cfg = experiment.config.get("train_cfg") or {}
        epochs, iters = (train_cfg.get(each) for each in ("max_epochs", "max_iters"))
        return Prepared(
            request=request,
            plan=plan,
            record=record_of(plan, name, name),
            last_epoch=epochs if isinstance(epochs, int) else None,
            last_iter=iters if isinstance(iters, int) else None,
        )

    def check(self, points: Sequence[Point], *, validates: bool) -> None:
        """Raise ConfigError for a mistake in a point, UsageError where nothing is validated that has to be."""
        for number, point in enumerate(points):
            prepared = self._experiment(number, point)
            if validates and not prepared.config.get("val_evaluator"):
                raise UsageError(
                    f"`--sampler {self.options.sampler}` judges trials by their validations, and the config has none",
                    hints=[
                        "give it `val_dataloader` and `val_evaluator`",
                        "or draw without judging: `--sampler random`",
                    ],
                )

    def _experiment(self, number: int, point: Point) -> Experiment:
        typed = tuple(f"{path}={value!r}" for path, value in point.items())
        own = replace(
            self.config, cfg_options=(*self.config.cfg_options, *typed), work_dir=trial_dir(self.folder, number)
        )
        return prepare_experiment(own, self.place, self.plugin, action="train")


def write_trial(prepared: Prepared) -> None:
    """Write the specification of a trial, and the one that it goes on with."""
    plan = prepared.plan
    plan.run_dir.mkdir(parents=True, exist_ok=True)
    plan.spec.write(plan.run_dir / "spec.json")
    replace(plan.spec, resume="auto").write(plan.run_dir / "resume.json")
