"""Save checkpoints: regularly, the last, the best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.config.metric_rule import better, rule_of
from mimctl.engine.checkpoints.checkpoint import is_readable, point_to, publish
from mimctl.engine.files.atomic import clean_leftovers
from mimctl.engine.hooks.checkpoint_options import (
    as_list,
    check_begin,
    check_best,
    check_template,
    rules_of,
)
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.ranks import distributed
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.log import get_logger
from mimctl.engine.running.finite import check_losses
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Save every `interval` epochs (or iterations, without `by_epoch`) after `save_begin`.

    - `max_keep_ckpts`: how many of these are kept (-1: all); an old one goes after the new one was read back whole.
    - `save_last`: also save at the end of the run, whatever the interval.
    - `save_best`: a metric's name, several, or "auto" for the first one reported. Such a checkpoint is for use: it
      holds no optimizer. `rule`: "greater" or "less", or one for each name; without it `greater_keys`, `less_keys`
      (in place of the known words) and then the name tell.
    - `published_keys`: what a published copy of the last (with `save_last`) and the best holds, such as
      ["meta", "state_dict"]; it is called `<name>-<first 8 hex digits of its sha256>.pth`.
    - `out_dir`: a folder for checkpoints, which lie there in a folder named like the work dir; `last_checkpoint`
      stays in the work dir.
    - `filename_tmpl`: a file's name with one `{}` for the number, by default `epoch_{}.pth` or `iter_{}.pth`.

    `file_client_args` and `backend_args` are accepted for older configs: checkpoints go to this machine's files.
    Raises ConfigError for options that contradict each other.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        out_dir: str | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | Sequence[str] | None = None,
        rule: str | Sequence[str] | None = None,
        greater_keys: str | Sequence[str] | None = None,
        less_keys: str | Sequence[str] | None = None,
        file_client_args: Any = None,
        filename_tmpl: str | None = None,
        backend_args: Any = None,
        published_keys: str | Sequence[str] | None = None,
        save_begin: int = 0,
    ) -> None:
        self.interval = interval
        self.by_epoch = by_epoch
        self.save_optimizer = save_optimizer
        self.save_param_scheduler = save_param_scheduler
        self.out_dir = out_dir
        self.max_keep_ckpts = max_keep_ckpts
        self.save_last = save_last
        self.save_begin = check_begin(save_begin)
        self.filename_tmpl = check_template(filename_tmpl or ("epoch_{}.pth" if by_epoch else "iter_{}.pth"))
        self.published_keys = as_list(published_keys)
        self.save_best = as_list(save_best)
        self.greater_keys = None if greater_keys is None else as_list(greater_keys)
        self.less_keys = None if less_keys is None else as_list(less_keys)
        check_best(self.save_best)
        self.rules = rules_of(self.save_best, as_list(rule), self._rule_of)

    def before_train(self, runner: Runner) -> None:
        self.folder = Path(self.out_dir) / runner.work_dir.name if self.out_dir else runner.work_dir
        if distributed.is_main_process():
            clean_leftovers(self.folder)
            self._forget(runner, self._kept(runner), ())

    def after_train_epoch(self, runner: Runner) -> None:
        if not self.by_epoch:
            return
        is_last = self.save_last and self.is_last_train_epoch(runner)
        if self.every_n_epochs(runner, self.interval, self.save_begin) or is_last:
            self._save(runner, runner.epoch + 1)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self.by_epoch:
            return
        is_last = self.save_last and self.is_last_train_iter(runner)
        if self.every_n_train_iters(runner, self.interval, self.save_begin) or is_last:
            self._save(runner, runner.iter + 1)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not runner.is_training or not self.save_best:
            return
        if not metrics:
            get_logger().warning("no metric was reported: no best checkpoint can be chosen")
            return
        if self.save_best == ["auto"]:
            name = next(iter(metrics))
            self.save_best, self.rules = [name], {name: self.rules.get("auto") or self._rule_of(name)}
        for name in self.save_best:
            self._save_best(runner, name, metrics)

    def after_train(self, runner: Runner) -> None:
        if not self.published_keys or not distributed.is_main_process():
            return
        hub = runner.message_hub
        last = [hub.get_info("last_ckpt")] if self.save_last else []
        names = [*last, *(hub.get_info(self._key("best_ckpt", name)) for name in self.save_best)]
        for path in dict.fromkeys(self._place(name) for name in names if name):
            get_logger().info("published %s", publish(path, self.published_keys))

    def _save(self, runner: Runner, number: int) -> None:
        check_losses(runner)
        path = self.folder / self.filename_tmpl.format(number)
        hub = runner.message_hub
        kept = [*(each for each in self._kept(runner) if each != number), number]
        surplus = kept[: -self.max_keep_ckpts] if self.max_keep_ckpts > 0 else []
        # Those that go are listed until they are gone: a run that is killed in between deletes them when it goes on.
        hub.update_info("keep_ckpt_ids", kept)
        hub.update_info("last_ckpt", path.name)
        runner.save_checkpoint(
            path.parent,
            path.name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
        )
        if distributed.is_main_process():
            point_to(runner.work_dir, path)
            if surplus and is_readable(path, checks_content=True):
                self._forget(runner, surplus, (path,))
        hub.update_info("keep_ckpt_ids", kept[len(surplus) :])

    def _save_best(self, runner: Runner, name: str, metrics: dict[str, float]) -> None:
        if name not in metrics:
            raise ConfigError(
                f"`CheckpointHook` keeps the best `{name}`, which no metric reports",
                hints=[f"the validation reports {', '.join(f'`{each}`' for each in metrics)}"],
            )
        hub = runner.message_hub
        score, place = self._key("best_score", name), self._key("best_ckpt", name)
        value, best = metrics[name], hub.get_info(score)
        if value is None or (best is not None and not better(float(value), best, self.rules[name])) or value != value:
            return
        number = runner.epoch if self.by_epoch else runner.iter
        path = self.folder / f"best_{name}_{self.filename_tmpl.format(number)}".replace("/", "_")
        before = hub.get_info(place)
        hub.update_info(score, float(value))
        hub.update_info(place, path.name)
        runner.save_checkpoint(path.parent, path.name, save_optimizer=False, save_param_scheduler=False)
        is_replaced = before is not None and self._place(before) != path
        if is_replaced and distributed.is_main_process() and is_readable(path, checks_content=True):
            self._place(before).unlink(missing_ok=True)
        get_logger().info("best %s so far: %.4f, saved as %s", name, value, path.name)

    def _kept(self, runner: Runner) -> list[int]:
        return [each for each in runner.message_hub.get_info("keep_ckpt_ids", []) if isinstance(each, int)]

    def _forget(self, runner: Runner, numbers: Sequence[int], whole: Iterable[Path]) -> None:
        """Delete regular checkpoints; without a new whole one only those beyond the number that is kept."""
        if self.max_keep_ckpts <= 0:
            return
        surplus = numbers if whole else numbers[: -self.max_keep_ckpts]
        for number in surplus:
            (self.folder / self.filename_tmpl.format(number)).unlink(missing_ok=True)
        if not whole and surplus:
            runner.message_hub.update_info("keep_ckpt_ids", list(numbers[len(surplus) :]))

    def _key(self, fact: str, name: str) -> str:
        """Return where the message hub keeps a fact of a best checkpoint, in MMEngine's words."""
        return fact if len(self.save_best) == 1 else f"{fact}_{name}"

    def _place(self, name: str) -> Path:
        # Names, not paths: a work dir may be moved between two parts of a run, and MMEngine kept paths.
        return self.folder / Path(name).name

    def _rule_of(self, name: str) -> str:
        return rule_of(name, self.greater_keys, self.less_keys)


def saved_by(runner: Runner) -> tuple[Path | None, Path | None]:
    """Return the best checkpoint (the first metric's) and the last one of a training."""
    hook = next((each for each in runner.hooks if isinstance(each, CheckpointHook)), None)
    if hook is None:
        return None, None
    facts = runner.message_hub.runtime_info
    best = next((facts[key] for name in hook.save_best if (key := hook._key("best_ckpt", name)) in facts), None)
    last = facts.get("last_ckpt")
    return hook._place(best) if best else None, hook._place(last) if last else None
