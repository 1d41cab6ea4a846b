"""What every loop has, one's own too: a runner and a dataloader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from mimctl.engine.data.loader import build_dataloader
from mimctl.engine.running.feed import stop_workers

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


class BaseLoop:
    """A loop over a dataloader, which is built from its config where it is one.

    A loop of one's own needs `run`; one for training also `epoch`, `iter`, `max_epochs` and `max_iters`, and
    `is_by_epoch` where it counts iterations alone.
    """

    is_by_epoch: bool = True
    # Set by the runner inside the hooks after an iteration or epoch, which are done there, but not counted yet.
    epoch_is_done: bool = False
    iter_is_done: bool = False

    def __init__(self, runner: Runner, dataloader: DataLoader[Any] | Mapping[str, Any]) -> None:
        self.runner = runner
        self.dataloader: DataLoader[Any] = build_dataloader(
            dataloader, seed=runner.seed, diff_rank_seed=runner.diff_rank_seed
        )

    def run(self) -> Any:
        """Do the work of the loop."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the processes that load data."""
        stop_workers(self.dataloader)

    def state_dict(self) -> dict[str, Any]:
        """Return how far a training is."""
        return {
            "epoch": int(getattr(self, "epoch", 0)) + int(self.epoch_is_done),
            "iter": int(getattr(self, "iter", 0)) + int(self.iter_is_done),
        }

    def load_state_dict(self, state: dict[str, Any], *, is_validated: bool = False) -> None:
        """Go on from a saved state: set `_epoch` and `_iter`."""
        self._epoch = int(state["epoch"])
        self._iter = int(state["iter"])
