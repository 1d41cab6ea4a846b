"""The training loops, by epoch and by iteration; those that validate and test stand in `evaluation_loops`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from mimctl.engine.ranks.parallel import require_equal_batches
from mimctl.engine.registry import LOOPS
from mimctl.engine.running.base_loop import BaseLoop
from mimctl.engine.running.feed import Feed
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

Intervals = Sequence[tuple[int, int]]


class TrainLoop(BaseLoop):
    """What both training loops share: one iteration, when to validate, where a resumed run goes on."""

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        val_begin: int,
        val_interval: int,
        dynamic_intervals: Intervals | None,
        num_sanity_val_steps: int,
    ) -> None:
        super().__init__(runner, dataloader)
        self.feed = Feed(self.dataloader)
        self.stop_training = False
        self.is_stepping = False
        self.val_begin = val_begin
        self.num_sanity_val_steps = num_sanity_val_steps
        self._max_epochs = 1
        self._max_iters = 0
        self._intervals = [(0, val_interval), *sorted((int(at), int(each)) for at, each in dynamic_intervals or ())]
        self._epoch = 0
        self._iter = 0
        self._owes_validation = False

    @property
    def epoch(self) -> int:
        """Return the number of finished epochs."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Return the number of finished iterations."""
        return self._iter

    @property
    def max_epochs(self) -> int:
        """Return the number of epochs, 1 where iterations are counted."""
        return self._max_epochs

    @property
    def max_iters(self) -> int:
        """Return the number of iterations."""
        return self._max_iters

    @property
    def val_interval(self) -> int:
        """Return the validation interval that holds for the next epoch or iteration."""
        return self._interval_at(self._progress() + 1)

    def run(self) -> torch.nn.Module:
        """Train to the end and return the model."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the processes that load data."""
        self.feed.stop()

    def train_on(self, idx: int, data_batch: Any) -> None:
        """Do one training step between its hooks, and count it."""
        runner = self.runner
        model: Any = runner.model
        runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        self.is_stepping = True
        outputs = model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        self.is_stepping = False
        runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def state_dict(self) -> dict[str, Any]:
        """Return how far the run is, counting what is done but not counted yet."""
        return {
            "epoch": self._epoch + int(self.epoch_is_done),
            "iter": self._iter + int(self.iter_is_done),
            "feed": self.feed.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], *, is_validated: bool = False) -> None:
        """Go on from a saved state; a validation that was due at it, and is not part of it, is made up for."""
        self._epoch = int(state["epoch"])
        self._iter = int(state["iter"])
        if "feed" in state:
            self.feed.load_state_dict(state["feed"], state.get("loading"))
        self._owes_validation = not is_validated and self._is_between_steps()

    def _validate_if_due(self) -> None:
        if self._validation_is_due():
            self.runner.val_loop.run()

    def _begin(self) -> None:
        """Try the validation out where a fresh run is to, or make up for the one that a resumed run owes."""
        if self._iter == 0 and self.num_sanity_val_steps > 0 and self.runner.has_validation:
            self.runner.val_loop.try_out(self.num_sanity_val_steps)
        if self._owes_validation:
            self._owes_validation = False
            self._validate_if_due()

    def _validation_is_due(self) -> bool:
        done = self._progress()
        if not self.runner.has_validation or done < self.val_begin:
            return False
        return done % self._interval_at(done) == 0 or done == self._length()

    def _interval_at(self, step: int) -> int:
        place = bisect_right([at for at, _ in self._intervals], step) - 1
        return self._intervals[max(place, 0)][1]

    def _progress(self) -> int:
        return self._epoch if self.is_by_epoch else self._iter

    def _length(self) -> int:
        raise NotImplementedError

    def _is_between_steps(self) -> bool:
        return self._progress() > 0


@LOOPS.register_module()
class EpochBasedTrainLoop(TrainLoop):
    """Train for `max_epochs` passes over the data; validate every `val_interval` epochs from `val_begin` on.

    `dynamic_intervals`: [(epoch, interval), …], each interval valid from its epoch on. The last epoch is always
    validated. `num_sanity_val_steps` batches are validated before the first epoch, to see that it works.
    """

    is_by_epoch = True

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Intervals | None = None,
        num_sanity_val_steps: int = 0,
    ) -> None:
        if int(max_epochs) != max_epochs or max_epochs < 0:
            raise ConfigError(f"`max_epochs` must be a whole number, got {max_epochs}")
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals, num_sanity_val_steps)
        self._max_epochs = int(max_epochs)
        self._max_iters = self._max_epochs * len(self.dataloader)

    def run(self) -> torch.nn.Module:
        """Train to the end and return the model."""
        require_equal_batches(len(self.dataloader), "training")
        self.runner.call_hook("before_train")
        self._begin()
        while self._epoch < self.max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """Train for one pass over the data."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in self.feed.batches():
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on one batch, the `idx`-th of the epoch."""
        self.train_on(idx, data_batch)

    def load_state_dict(self, state: dict[str, Any], *, is_validated: bool = False) -> None:
        # Checkpoints of others know the epoch alone.
        feed = {"epoch": int(state["epoch"]), "position": 0}
        super().load_state_dict({"feed": feed, **state}, is_validated=is_validated)

    def _length(self) -> int:
        return self.max_epochs

    def _is_between_steps(self) -> bool:
        return self._epoch > 0 and self.feed.position == 0


@LOOPS.register_module()
class IterBasedTrainLoop(TrainLoop):
    """Train for `max_iters` batches, over the data as often as it takes; intervals count iterations.

    `num_sanity_val_steps` batches are validated before the first iteration, to see that it works.
    """

    is_by_epoch = False

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Intervals | None = None,
        num_sanity_val_steps: int = 0,
    ) -> None:
        if int(max_iters) != max_iters or max_iters < 0:
            raise ConfigError(f"`max_iters` must be a whole number, got {max_iters}")
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals, num_sanity_val_steps)
        self._max_iters = int(max_iters)

    def run(self) -> torch.nn.Module:
        """Train to the end and return the model."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self._begin()
        self.runner.model.train()
        batches = self.feed.endless()
        while self._iter < self.max_iters and not self.stop_training:
            _, data_batch = next(batches)
            self.run_iter(data_batch)
            if self._validation_is_due():
                self.runner.val_loop.run()
                self.runner.model.train()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_iter(self, data_batch: Any) -> None:
        """Train on one batch."""
        self.train_on(self._iter, data_batch)

    def load_state_dict(self, state: dict[str, Any], *, is_validated: bool = False) -> None:
        length = max(len(self.dataloader), 1)
        # Checkpoints of others know the iteration alone.
        feed = {"epoch": state["iter"] // length, "position": state["iter"] % length}
        super().load_state_dict({"feed": feed, **state}, is_validated=is_validated)

    def _length(self) -> int:
        return self.max_iters
