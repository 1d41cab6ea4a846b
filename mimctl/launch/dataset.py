"""Let the toolbox look at a folder of the user's data (`data` verb, no torch) before a training is planned."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.errors import MimctlError
from mimctl.launch.failure import error_of
from mimctl.launch.local import run
from mimctl.launch.model import RunRequest, Silence
from mimctl.launch.plan import make_plan
from mimctl.plugin.discover import Plugin

if TYPE_CHECKING:
    from mimctl.config.recipe import DatasetFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """What the toolbox found in a folder; `raw` is its report as plain data."""

    folder: Path
    raw: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """The report as a person reads it, one fact a line."""
        return report_lines(self.raw)

    @property
    def facts(self) -> DatasetFacts:
        """What a config needs to know of the data."""
        from mimctl.config.recipe import DatasetFacts

        return DatasetFacts(
            layout=self.raw["layout"],
            classes=tuple(self.raw["classes"]),
            splits={name: _split(DatasetFacts, split) for name, split in self.raw["splits"].items()},
        )


def _split(_facts: object, split: Mapping[str, Any]) -> dict[str, Any]:
    return {key: split.get(key) for key in ("dataset_type", "data_root", "ann_file", "data_prefix", "extra")}


def describe_folder(
    plugin: Plugin, folder: Path, *, python: Path, out: Path, seed: int = 0, val_fraction: float = 0.2
) -> DatasetReport:
    """Run the toolbox's `data` verb on `folder`; lists of samples that it has to write go below `out`.

    Raises MimctlError[verb-not-offered] where the toolbox cannot, MimctlError[bad-data] with the report where the
    folder is none of its layouts or has mistakes, and what the verb itself raises.
    """
    entry = plugin.manifest.verbs.get("data")
    if entry is None:
        raise MimctlError(f"toolbox `{plugin.name}` cannot read a data folder (`--data`)", code="verb-not-offered")
    with tempfile.TemporaryDirectory(prefix="mimctl-data-") as scratch:
        request = RunRequest(
            action="data",
            plugin=plugin.name,
            package=plugin.package,
            entry=entry,
            python=python,
            run_dir=Path(scratch),
            work_dir=out,
            options={"dir": str(folder), "split_seed": seed, "val_fraction": val_fraction},
        )
        plan = make_plan(request)
        outcome = run(plan, Silence())
    if outcome.exit_code != 0 or outcome.result is None:
        raise error_of(outcome, plan)
    report = DatasetReport(folder=folder, raw=outcome.result)
    if not report.raw.get("ok"):
        raise MimctlError(
            f"`{folder}` cannot be trained on as it is",
            code="bad-data",
            causes=report.lines,
            hints=["mend the files named above, or leave them out"],
            details={"report": dict(report.raw)},
        )
    return report


def report_lines(raw: Mapping[str, Any]) -> list[str]:
    """Return a report as lines: layout, classes, a line for each split, then what is wrong."""
    lines = [f"layout: {raw.get('layout') or 'not recognised'}"]
    classes = list(raw.get("classes", ()))
    if classes:
        shown = ", ".join(map(str, classes[:12])) + (", ..." if len(classes) > 12 else "")
        lines.append(f"classes: {len(classes)} ({shown})")
    for name, split in raw.get("splits", {}).items():
        lines.append(f"{name}: {split.get('images', 0)} images, {split.get('boxes', 0)} boxes")
    made = raw.get("made_split")
    if made:
        lines.append(f"split made with seed {made.get('seed')}: {made.get('fraction'):.0%} held out to validate")
    lines += [f"note: {each}" for each in raw.get("notes", ())]
    problems = list(raw.get("problems", ()))
    lines += [f"problem: {each}" for each in problems]
    more = int(raw.get("num_problems", len(problems))) - len(problems)
    return [*lines, f"and {more} more problems"] if more > 0 else lines
