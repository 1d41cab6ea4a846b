"""Runs that were started: what they do, what they print, stopping them, going on with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl import settings as settings_module
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.launch.model import ConfigOptions, LaunchOptions, Listener
    from mimctl.launch.runs.book import RunBook
    from mimctl.launch.runs.record import RunRecord
    from mimctl.launch.runs.state import RunState
    from mimctl.launch.sweep.model import Sweep, Trial
    from mimctl.launch.sweep.start import SweepResult


def status(run: str | None = None, *, most: int = 20, settings: Settings | None = None) -> list[RunState]:
    """Return the state of a run, or of the newest `most` ones, newest first.

    `run` is an id, a name, a path of a run or its work dir, Slurm's number, or `last`. Raises UsageError[unknown-run].
    """
    from mimctl.launch.runs.state import state_of, states_of

    book = _book(settings)
    return states_of(book.runs()[:most]) if run is None else [state_of(book.find(run))]


def cancel(run: str, *, settings: Settings | None = None) -> RunState:
    """Stop a run, a job through Slurm, one of this machine by SIGTERM, and return its state as it was.

    Raises MimctlError[not-running] where it has ended.
    """
    from mimctl.launch.runs.control import cancel as stop

    return stop(_book(settings).find(run))


def resume(
    run: str, *, detach: bool = False, listener: Listener | None = None, settings: Settings | None = None
) -> tuple[RunRecord, dict[str, object] | None]:
    """Go on with a training that ended before its end, as the same run; return its record and, if followed, its result.

    Raises MimctlError[still-running], [nothing-to-resume].
    """
    from mimctl.launch.runs.control import resume as go_on

    book = _book(settings)
    outcome, record = go_on(book.find(run), book, detach=detach, listener=listener)
    return record, None if outcome is None else dict(outcome.result or {})


def logs(
    run: str,
    write: Callable[[str], None],
    *,
    follows: bool = False,
    lines: int | None = None,
    rank: int | None = None,
    settings: Settings | None = None,
) -> Path:
    """Hand what a run has printed to `write`, line by line, and return the file; `follows` goes on until it ends.

    `lines`: the last so many alone. `rank`: of one process. Raises MimctlError[no-log] where nothing was written.
    """
    from mimctl.launch.runs.logs import show

    return show(_book(settings).find(run), write, follows=follows, lines=lines, rank=rank)


def read_axes(grid: Sequence[str], search_args: str | None = None) -> dict[str, list[Any]]:
    """Return the axes of a sweep: `path=v1,v2` each, and mim's `--search-args`. Raises UsageError[bad-grid]."""
    from mimctl.launch.sweep.grid import read_grid, read_search_args

    axes = read_grid(grid)
    return {**axes, **read_search_args(search_args)} if search_args else axes


def sweep(
    plugin: str,
    config: ConfigOptions | str,
    axes: Mapping[str, list[Any]],
    launch: LaunchOptions | None = None,
    *,
    max_jobs: int = 1,
    seed: int | None = None,
    amp: bool = False,
    dry_run: bool = False,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> SweepResult:
    """Train once for each point of the product of `axes` (path in the config → values), `max_jobs` at a time.

    Every point's config is checked before the first starts. The same call again goes on with what is not done. Raises
    ConfigError for a mistake in any point, UsageError[other-sweep] where the folder holds another sweep.
    """
    from mimctl.api.place import workplace
    from mimctl.launch.model import ConfigOptions, LaunchOptions
    from mimctl.launch.sweep.start import start
    from mimctl.zoo.source import ZooModels

    settings = settings or settings_module.load()
    launch = launch or LaunchOptions()
    models = ZooModels(settings, progress=watch.progress if watch else None, note=watch.note if watch else None)
    return start(
        plugin,
        ConfigOptions(config=config) if isinstance(config, str) else config,
        axes,
        launch,
        place=workplace(settings, launch, watch),
        fetch=models.fetch,
        max_jobs=max_jobs,
        seed=seed,
        amp=amp,
        dry_run=dry_run,
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

    Raises MimctlError[no-sweep], UsageError[unknown-field], MimctlError[missing-extra] where matplotlib lacks.
    """
    from mimctl.files import write_text
    from mimctl.launch.sweep.report import draw, head, load, ordered, to_csv

    found, trials = load(folder)
    trials = ordered(found, trials, sort)
    if csv is not None:
        write_text(csv.absolute(), to_csv(found, trials), mode=0o666)
    if png is not None:
        metrics = head(found, trials)[2 + len(found.axes) :]
        draw(found, trials, metric or (metrics[0] if metrics else ""), png)
    return found, trials


def _book(settings: Settings | None) -> RunBook:
    from mimctl.launch.runs.book import RunBook

    settings = settings or settings_module.load()
    return RunBook(settings.home / "runs")
