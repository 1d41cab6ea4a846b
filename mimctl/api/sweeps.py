"""Sweeps: many trainings of one config that differ in a few values, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import as_config_options, workplace, zoo_models
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.launch.model import ConfigOptions, LaunchOptions
    from mimctl.launch.sweep.axes import Axes, Axis
    from mimctl.launch.sweep.model import Sweep, SweepOptions, SweepResult, Trial


def read_axes(grid: Sequence[str], search_args: str | None = None) -> dict[str, Axis]:
    """Return the axes of a sweep: `path=v1,v2` or `path=low..high[:log]` each, and mim's `--search-args`.

    Raises UsageError[bad-grid].
    """
    from mimctl.launch.sweep.axes import read_grid, read_search_args

    axes = read_grid(grid)
    return {**axes, **read_search_args(search_args)} if search_args else axes


def sweep(
    plugin: str,
    config: ConfigOptions | str,
    axes: Axes,
    options: SweepOptions | None = None,
    launch: LaunchOptions | None = None,
    *,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> SweepResult:
    """Train once for each point of the product of `axes` (path in the config → values), or for points that are drawn.

    Mistakes in values are found before the first training starts. The same call again goes on with what is not done;
    more `options.trials` draw further ones. Raises ConfigError for a mistake in a value, UsageError[other-sweep] where
    the folder holds another sweep, MimctlError[sweep-busy] where another process runs it, [missing-extra] where Optuna
    lacks, UsageError[unknown-field] where the trials do not tell the metric.
    """
    from mimctl.launch.model import LaunchOptions
    from mimctl.launch.sweep.model import SweepOptions
    from mimctl.launch.sweep.start import start

    settings = settings or settings_module.load()
    launch = launch or LaunchOptions()
    return start(
        plugin,
        as_config_options(config),
        axes,
        launch,
        options or SweepOptions(),
        place=workplace(settings, launch, watch),
        fetch=zoo_models(settings, watch).fetch,
        tell=watch.note if watch else lambda text: None,
    )


def sweep_report(
    folder: Path,
    *,
    sort: str | None = None,
    csv: Path | None = None,
    png: Path | None = None,
    metric: str | None = None,
) -> tuple[Sweep, list[Trial]]:
    """Return a sweep and its trials, ordered by a column (`-` before it: falling); write them as CSV or draw them.

    `metric` is what is drawn. Raises MimctlError[no-sweep], UsageError[unknown-field], MimctlError[missing-extra]
    where matplotlib lacks.
    """
    from mimctl.files import write_text
    from mimctl.launch.sweep.picture import draw
    from mimctl.launch.sweep.report import load, measure_of, ordered, to_csv

    found, trials = load(folder)
    shown = ordered(found, trials, sort)
    if csv is not None:
        write_text(csv.absolute(), to_csv(found, shown), mode=0o666)
    if png is not None:
        draw(found, trials, measure_of(found, trials, metric), png)
    return found, shown
