"""Record what the first iterations of a training spend their time and memory on (torch.profiler)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, did_you_mean, nearest

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

FOLDER = "profile"
"""In the run's folder: where traces and tables go."""

_TRACES = ("log_trace", "tb_trace")


@HOOKS.register_module()
class ProfilerHook(Hook):
    """Profile the first epoch, or the first `profile_times` iterations without `by_epoch`, of this start of a run.

    `schedule` are the arguments of `torch.profiler.schedule`. `on_trace_ready`: a function, `dict(type='log_trace',
    …)` for a table in the log, whose arguments are those of `key_averages().table`, or `dict(type='tb_trace', …)` for
    files that TensorBoard shows, with the arguments of `tensorboard_trace_handler`. Without it a trace for
    chrome://tracing (`json_trace_path`) and a table are written, by default to `profile/`; relative paths begin at the
    run's folder. Each rank profiles itself.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        *,
        by_epoch: bool = True,
        profile_times: int = 1,
        activity_with_cpu: bool = True,
        activity_with_cuda: bool = False,
        schedule: Mapping[str, int] | None = None,
        on_trace_ready: Callable[[Any], None] | Mapping[str, Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        json_trace_path: str | None = None,
    ) -> None:
        if profile_times < 1:
            raise ConfigError(f"`profile_times` must be 1 or more, got {profile_times}", code="bad-argument")
        if by_epoch and profile_times > 1:
            raise ConfigError(
                f"`ProfilerHook` profiles one epoch, not {profile_times}",
                code="bad-argument",
                hints=["count iterations: `by_epoch=False`"],
            )
        self.by_epoch = by_epoch
        self.profile_times = profile_times
        self.activities = [name for name, is_on in (("CPU", activity_with_cpu), ("CUDA", activity_with_cuda)) if is_on]
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.json_trace_path = json_trace_path
        self._options: dict[str, Any] = {
            "record_shapes": record_shapes,
            "profile_memory": profile_memory,
            "with_stack": with_stack,
            "with_flops": with_flops,
        }
        self._profiler: Any = None
        self._first_iter = 0
        self._last_iter = 0
        kind = on_trace_ready.get("type") if isinstance(on_trace_ready, Mapping) else "log_trace"
        if kind == "tb_trace" and json_trace_path is not None:
            raise ConfigError(
                "`tb_trace` writes its own files: leave `json_trace_path` out, or name them by `worker_name`",
                code="bad-argument",
            )
        if kind not in _TRACES:
            raise ConfigError(
                f"`on_trace_ready.type` is `log_trace` or `tb_trace`, not `{kind}`",
                code="bad-argument",
                hints=did_you_mean(nearest(str(kind), list(_TRACES))),
            )

    def before_train(self, runner: Runner) -> None:
        from torch import profiler

        times = runner.max_epochs if self.by_epoch else runner.max_iters
        if times < self.profile_times:
            raise ConfigError(f"`ProfilerHook` profiles {self.profile_times} of {times} iterations")
        self._first_iter = runner.iter
        self._profiler = profiler.profile(
            activities=[getattr(profiler.ProfilerActivity, name) for name in self.activities],
            schedule=profiler.schedule(**self.schedule) if self.schedule is not None else None,
            on_trace_ready=self._handler(runner),
            **self._options,
        )
        self._profiler.__enter__()
        get_logger().info("profiling; it slows the run down")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self._profiler is None:
            return
        self._last_iter = runner.iter + 1
        self._profiler.step()
        if not self.by_epoch and self._last_iter - self._first_iter == self.profile_times:
            self._end(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._end(runner)

    def _end(self, runner: Runner) -> None:
        profiler, self._profiler = self._profiler, None
        if profiler is None:
            return
        profiler.__exit__(None, None, None)
        # With a schedule traces are ready in between, and nothing is left at the end.
        if self.schedule is None and (self.on_trace_ready is None or self.json_trace_path is not None):
            self._write(runner, profiler)

    def _handler(self, runner: Runner) -> Callable[[Any], None] | None:
        if callable(self.on_trace_ready):
            return self.on_trace_ready
        if self.on_trace_ready is None:
            return None if self.schedule is None else lambda profiler: self._write(runner, profiler)
        options = {name: value for name, value in self.on_trace_ready.items() if name != "type"}
        if self.on_trace_ready["type"] == "log_trace":
            return lambda profiler: get_logger().info("profile:\n%s", profiler.key_averages().table(**options))
        from torch.profiler import tensorboard_trace_handler

        folder = runner.log_dir / str(options.pop("dir_name", "tf_tracing_logs"))
        write: Callable[[Any], None] = tensorboard_trace_handler(str(folder), **options)
        return write

    def _write(self, runner: Runner, profiler: Any) -> None:
        by = "self_cuda_time_total" if "CUDA" in self.activities else "self_cpu_time_total"
        trace = runner.log_dir / (self.json_trace_path or f"{FOLDER}/iter_{self._last_iter}.json")
        if runner.world_size > 1:
            trace = trace.with_stem(f"{trace.stem}-rank{runner.rank}")
        trace.parent.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(trace))
        table = profiler.key_averages().table(sort_by=by, row_limit=100)
        trace.with_suffix(".txt").write_text(table + "\n", encoding="utf-8")
        get_logger().info("profile written to %s", trace)
