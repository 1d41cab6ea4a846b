"""Runs that were started: what they do, what they print, stopping them, going on with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.launch.model import Listener
    from mimctl.launch.runs.book import RunBook
    from mimctl.launch.runs.record import RunRecord
    from mimctl.launch.runs.state import RunState


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

    Raises MimctlError[still-running], [nothing-to-resume], NoCompatibleBuildError[unfit-partition].
    """
    from mimctl.api.machines import nodes_dir
    from mimctl.launch.runs.control import resume as go_on

    settings = settings or settings_module.load()
    book = _book(settings)
    outcome, record = go_on(book.find(run), book, detach=detach, listener=listener, nodes_dir=nodes_dir(settings))
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
    """Hand what a run has printed to `write`, line by line, and return its file; `follows` goes on until it ends.

    Of a job of Slurm that is what its first rank logs, then what the job itself prints, in a file beside. `lines`: the
    last so many alone. `rank`: of one process. Raises MimctlError[no-log] where nothing was written.
    """
    from mimctl.launch.runs.logs import show

    return show(_book(settings).find(run), write, follows=follows, lines=lines, rank=rank)


def _book(settings: Settings | None) -> RunBook:
    from mimctl.launch.runs.book import RunBook

    settings = settings or settings_module.load()
    return RunBook(settings.home / "runs")
