"""What is drawn for the next trial: Optuna's samplers, whose memory is a file in the sweep's folder."""

from __future__ import annotations

import contextlib
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.errors import MimctlError
from mimctl.launch.sweep.axes import Axes, Range
from mimctl.launch.sweep.model import Sampler

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
HALVING = 3
"""One in so many trials goes on at each rung of ASHA; the rungs are after 1, 3, 9, … validations."""
RANDOM_TRIALS = 10
"""So many trials TPE draws at random before it learns from them."""


class Study:
    """A sampler and what it was told; costs are numbers of which the smallest is the best.

    Each value is drawn by a seed of its own, so that a sweep that was killed draws what it would have drawn.
    One process at a time; without a folder nothing is kept. Raises MimctlError[missing-extra] without Optuna.
    """

    def __init__(self, folder: Path | None, axes: Axes, *, sampler: Sampler, seed: int = 0) -> None:
        _require_optuna()
        from optuna import create_study, pruners

        self._axes, self._kind, self._seed = axes, sampler, seed
        pruner: pruners.BasePruner = pruners.NopPruner()
        if sampler == "asha":
            pruner = pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=HALVING)
        try:
            storage = self._storage(folder) if folder is not None else None
            self._study = create_study(
                storage=storage,
                study_name="sweep",
                sampler=self._sampler(""),
                pruner=pruner,
                load_if_exists=storage is not None,
            )
        except (ValueError, KeyError, TypeError) as err:
            raise MimctlError(
                f"the journal of the sweep in `{folder}` cannot be read", code="no-sweep", causes=[str(err)]
            ) from err
        self._trials: dict[int, optuna.trial.Trial] = {}

    def __len__(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    def draw(self) -> tuple[int, dict[str, Any]]:
        """Return the number and the point of a new trial."""
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return trial.number, self.point(trial.number)

    def point(self, number: int) -> dict[str, Any]:
        """Return what was drawn for a trial; what is missing, as the process was killed meanwhile, is drawn now."""
        point = {}
        for path, axis in self._axes.items():
            self._study.sampler = self._sampler(f"{self._seed}/{number}/{path}")
            point[path] = _suggest(self._trial(number), path, axis)
        return point

    def is_open(self, number: int) -> bool:
        """Return whether a trial has no end yet."""
        return not self._frozen(number).state.is_finished()

    def judge(self, number: int, validation: int, cost: float | None) -> bool:
        """Take a trial's cost at its n-th validation (None: not a number); return whether the trial is given up."""
        trial = self._trial(number)
        if validation not in self._frozen(number).intermediate_values:
            trial.report(float("nan") if cost is None else cost, validation)
        return trial.should_prune()

    def tell(self, number: int, cost: float | None) -> None:
        """Take the cost of a trial that is done, None where it is no number."""
        from optuna.trial import TrialState

        if cost is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, cost)

    def tell_pruned(self, number: int) -> None:
        """Take it that a trial was given up."""
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.PRUNED)

    def _trial(self, number: int) -> optuna.trial.Trial:
        if number not in self._trials:
            from optuna.trial import Trial

            self._trials[number] = Trial(self._study, self._frozen(number)._trial_id)
        return self._trials[number]

    def _frozen(self, number: int) -> optuna.trial.FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _sampler(self, seed_text: str) -> optuna.samplers.BaseSampler:
        from optuna.samplers import RandomSampler, TPESampler

        seed = zlib.crc32(seed_text.encode())
        if self._kind != "tpe":
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one version calls it experimental
            # Trials that still run count as bad ones: several at a time are then not drawn at one place.
            return TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS, constant_liar=True)

    def _storage(self, folder: Path) -> optuna.storages.BaseStorage:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = folder / JOURNAL
        _mend(path)
        return JournalStorage(JournalFileBackend(str(path)))


def _mend(journal: Path) -> None:
    """Remove what a process that was killed while it wrote has left: half a line, a lock."""
    for left in journal.parent.glob(f"{journal.name}.lock*"):
        left.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        data = journal.read_bytes()
        if data and not data.endswith(b"\n"):
            with journal.open("r+b") as stream:
                stream.truncate(data.rfind(b"\n") + 1)


def _suggest(trial: optuna.trial.Trial, path: str, axis: Any) -> Any:
    if not isinstance(axis, Range):
        # Optuna takes no lists and dicts for values.
        return axis[trial.suggest_categorical(path, list(range(len(axis))))]
    if axis.is_whole:
        return trial.suggest_int(path, int(axis.low), int(axis.high), log=axis.is_log)
    return trial.suggest_float(path, axis.low, axis.high, log=axis.is_log)


def _require_optuna() -> None:
    try:
        import optuna
    except ImportError as err:
        raise MimctlError(
            "samplers need Optuna",
            code="missing-extra",
            hints=["`pip install 'mimctl[sweep]'` where mimctl is", "without it: `--sampler grid`"],
        ) from err
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def draws(study: Study, most: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the trials of a study, those it has and new ones, up to `most`."""
    for number in range(most):
        yield (number, study.point(number)) if number < len(study) else study.draw()
