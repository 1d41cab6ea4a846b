"""A hook that makes trouble the first time that a training comes to a place: a config names this module."""

import os
import time
from pathlib import Path

from mimctl.engine.hooks import Hook
from mimctl.engine.ranks import distributed
from mimctl.engine.registry import HOOKS


@HOOKS.register_module()
class Once(Hook):
    """At iteration `at` of rank `rank`: `kill` the process, `wait` for ever, or raise an `error`.

    The work dir's `done-<kind>` says that it was, and holds the number of the process that started the rank.
    """

    def __init__(self, kind: str, at: int, rank: int) -> None:
        self.kind, self.at, self.rank = kind, at, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        flag = Path(runner.work_dir, f"done-{self.kind}")
        if runner.iter != self.at or distributed.get_rank() != self.rank or flag.exists():
            return
        flag.write_text(str(os.getppid()))
        if self.kind == "kill":
            os.kill(os.getpid(), 9)
        if self.kind == "wait":
            time.sleep(900)
        raise ValueError("a bug in a hook")
