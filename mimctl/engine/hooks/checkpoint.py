"""Save checkpoints: regularly, the last, the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.engine import distributed
from mimctl.engine.checkpoint import atomic_write, is_readable, read_checkpoint, save_checkpoint
from mimctl.engine.finite import check_losses
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.log import get_logger
from mimctl.engine.metric_rule import better, rule_of
from mimctl.engine.registry import HOOKS
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Save every `interval` epochs (or iterations, without `by_epoch`) after `save_begin`.

    `max_keep_ckpts`: how many of these are kept (-1: all); an old one goes only after the new one is whole.
    `save_last`: also save at the end of the run. `save_best`: a metric's name, several, or "auto" for the first one
    reported; `rule` ("greater", "less", or one for each) where the name does not tell. `published_keys`: what a
    published copy of the last and the best holds (`<name>-<8 hex digits of sha256>.pth`), such as
    ["meta", "state_dict"].
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
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
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
        self.save_begin = save_begin
        self.filename_tmpl = filename_tmpl or ("epoch_{}.pth" if by_epoch else "iter_{}.pth")
        self.published_keys = [published_keys] if isinstance(published_keys, str) else list(published_keys or ())
        self.key_indicators = [save_best] if isinstance(save_best, str) else list(save_best or ())
        self.rules = [rule] if isinstance(rule, str) else list(rule or ())
        self.greater_keys = list(greater_keys or ())
        self.less_keys = list(less_keys or ())
        if self.rules and len(self.rules) not in (1, len(self.key_indicators)):
            raise ConfigError("`rule` must be one for all or one for each of `save_best`")

    def before_train(self, runner: Runner) -> None:
        self.folder = Path(self.out_dir) / runner.work_dir.name if self.out_dir else runner.work_dir

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
        if not runner.is_training or not metrics or not self.key_indicators:
            return
        if self.key_indicators == ["auto"]:
            self.key_indicators = [next(iter(metrics))]
        for place, key in enumerate(self.key_indicators):
            self._save_best(runner, key, self._rule(place, key), metrics)

    def after_train(self, runner: Runner) -> None:
        if not self.published_keys or not distributed.is_main_process():
            return
        hub = runner.message_hub
        names = [hub.get_info("last_ckpt"), *(hub.get_info(f"best_ckpt/{key}") for key in self.key_indicators)]
        for name in dict.fromkeys(name for name in names if name):
            get_logger().info("published %s", publish(self.folder / name, self.published_keys))

    def _save(self, runner: Runner, number: int) -> None:
        check_losses(runner)
        path = self.folder / self.filename_tmpl.format(number)
        hub = runner.message_hub
        # Names, not paths: a work dir may be moved between two parts of a run.
        kept = [*(name for name in hub.get_info("kept_ckpts", []) if name != path.name), path.name]
        surplus = kept[: -self.max_keep_ckpts] if self.max_keep_ckpts > 0 else []
        hub.update_info("kept_ckpts", kept[len(surplus) :])
        hub.update_info("last_ckpt", path.name)
        self._write(runner, path)
        if distributed.is_main_process():
            atomic_write(self.folder / "last_checkpoint", lambda temporary: temporary.write_text(str(path)))
            if surplus and is_readable(path):
                for name in surplus:
                    (self.folder / name).unlink(missing_ok=True)

    def _save_best(self, runner: Runner, key: str, rule: str, metrics: dict[str, float]) -> None:
        if key not in metrics:
            raise ConfigError(
                f"`CheckpointHook` keeps the best `{key}`, which no metric reports",
                hints=[f"the validation reports {', '.join(f'`{name}`' for name in metrics)}"],
            )
        hub = runner.message_hub
        value = float(metrics[key])
        best = hub.get_info(f"best_score/{key}")
        if (best is not None and not better(value, best, rule)) or value != value:
            return
        unit, number = ("epoch", runner.epoch) if self.by_epoch else ("iter", runner.iter)
        path = self.folder / f"best_{key.replace('/', '_')}_{unit}_{number}.pth"
        before = hub.get_info(f"best_ckpt/{key}")
        hub.update_info(f"best_score/{key}", value)
        hub.update_info(f"best_ckpt/{key}", path.name)
        self._write(runner, path)
        if before and before != path.name and distributed.is_main_process() and is_readable(path):
            (self.folder / before).unlink(missing_ok=True)
        get_logger().info("best %s so far: %.4f, saved as %s", key, value, path.name)

    def _write(self, runner: Runner, path: Path) -> None:
        runner.save_checkpoint(
            path.parent,
            path.name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
        )

    def _rule(self, place: int, key: str) -> str:
        if self.rules:
            return self.rules[place if len(self.rules) > 1 else 0]
        if key in self.greater_keys:
            return "greater"
        return "less" if key in self.less_keys else rule_of(key)


def publish(path: Path, keys: Sequence[str]) -> Path:
    """Write a copy of a checkpoint with `keys` alone, named after its own sha256."""
    import hashlib

    content = read_checkpoint(path)
    temporary = save_checkpoint({key: content[key] for key in keys if key in content}, path.with_suffix(".publish.tmp"))
    digest = hashlib.sha256(temporary.read_bytes()).hexdigest()[:8]
    return temporary.replace(path.with_name(f"{path.stem}-{digest}.pth"))
