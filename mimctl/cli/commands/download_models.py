"""What `mimctl download` does with the names of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import api
from mimctl.cli.options import Context
from mimctl.cli.result import Line, Result
from mimctl.errors import MimctlError

if TYPE_CHECKING:
    from mimctl.zoo.downloaded import Downloaded


def fetch_models(
    context: Context, plugin: str, names: Sequence[str], *, dest: Path | None, bases: bool, log: bool, from_cache: bool
) -> Result:
    """Fetch models and print the paths of each; where some fail, those of the others before the error."""
    try:
        with context.output.transfer_view() as watch:
            found = api.download(
                plugin,
                names,
                dest=dest,
                bases=bases,
                log=log,
                from_cache=from_cache,
                watch=watch,
                settings=context.settings,
            )
    except MimctlError as problem:
        done = getattr(problem, "done", ())
        problem.details |= {"models": [_facts(each) for each in done]} if done else {}
        if done and not context.output.json:
            context.output.result("download", _result(done))
        raise
    return _result(found)


def _result(found: Sequence[Downloaded]) -> Result:
    lines: list[Line] = [str(path) for each in found for path in (each.config, each.checkpoint, each.log) if path]
    notes: list[Line] = [] if any(each.is_new for each in found) else ["nothing to do"]
    notes += [
        f"`{each.config}` imports code of others: it needs `--trust-config`" for each in found if each.needs_trust
    ]
    return Result(data={"models": [_facts(each) for each in found]}, lines=lines, quiet=lines, notes=notes)


def _facts(each: Downloaded) -> dict[str, object]:
    return {
        "name": each.name,
        "config": str(each.config),
        "checkpoint": str(each.checkpoint),
        "sha256": each.sha256,
        "check": each.check,
        "config_source": each.config_source,
        "needs_trust": each.needs_trust,
        "log": str(each.log) if each.log is not None else None,
        "bases": [str(path) for path in each.bases],
        "new": each.is_new,
    }
