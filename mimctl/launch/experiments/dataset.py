"""Let the toolbox look at a folder of the user's data (`data` verb, no torch) before a training is planned."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.errors import MimctlError
from mimctl.launch.asking import ask
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

        metrics = self.raw.get("metrics") or {}
        return DatasetFacts(
            layout=self.raw["layout"],
            classes=tuple(self.raw["classes"]),
            splits=self.raw["splits"],
            known_metrics=tuple(metrics.get("known", ())),
            metric=metrics.get("instead"),
            lacking=self.raw.get("lacking") or {},
            holds_arrays=bool(self.raw.get("holds_arrays")),
        )


def describe_folder(
    plugin: Plugin,
    folder: Path,
    *,
    python: Path,
    out: Path,
    seed: int = 0,
    val_fraction: float = 0.2,
    others: Sequence[Plugin] = (),
) -> DatasetReport:
    """Run the toolbox's `data` verb on `folder`; lists of samples that it has to write go below `out`.

    Raises MimctlError[verb-not-offered] where the toolbox cannot, MimctlError[bad-data] with the report where the
    folder is none of its layouts (then the `others` are asked, and the error names those that read it) or has mistakes,
    and what the verb itself raises.
    """
    report = _ask(plugin, folder, python=python, out=out, seed=seed, val_fraction=val_fraction)
    if report.raw.get("ok"):
        return report
    hints = ["mend the files named above, or leave them out"]
    if report.raw.get("layout") is None:
        hints = [
            f"`{each.name}` reads it ({layout}): `mimctl data {each.name} {folder}`"
            for each in others
            if each.name != plugin.name and (layout := _layout_for(each, folder, python))
        ]
    raise MimctlError(
        f"`{folder}` cannot be trained on as it is",
        code="bad-data",
        causes=report.lines,
        hints=hints,
        details={"report": dict(report.raw)},
    )


def _layout_for(plugin: Plugin, folder: Path, python: Path) -> str | None:
    """Return the layout in which another toolbox reads the folder, None where it does not."""
    with tempfile.TemporaryDirectory(prefix="mimctl-data-") as scratch:
        try:
            found = _ask(plugin, folder, python=python, out=Path(scratch), seed=0, val_fraction=0.2)
        except MimctlError:
            return None
    return found.raw.get("layout")


def _ask(plugin: Plugin, folder: Path, *, python: Path, out: Path, seed: int, val_fraction: float) -> DatasetReport:
    entry = plugin.manifest.verbs.get("data")
    if entry is None:
        raise MimctlError(f"toolbox `{plugin.name}` cannot read a data folder (`--data`)", code="verb-not-offered")
    options = {"dir": str(folder), "split_seed": seed, "val_fraction": val_fraction}
    raw = ask(plugin, "data", entry, python, work_dir=out, options=options)
    return DatasetReport(folder=folder, raw=raw)


def report_lines(raw: Mapping[str, Any]) -> list[str]:
    """Return a report as lines: layout, classes, a line for each split, then what is wrong."""
    lines = [f"layout: {raw.get('layout') or 'not recognised'}"]
    classes = list(raw.get("classes", ()))
    if classes:
        shown = ", ".join(map(str, classes[:12])) + (", ..." if len(classes) > 12 else "")
        lines.append(f"classes: {len(classes)} ({shown})")
    for name, split in raw.get("splits", {}).items():
        counts = {
            word: each for word, each in split.items() if isinstance(each, int) and (each or word != "unlabelled")
        }
        lines.append(f"{name}: {', '.join(f'{each} {word}' for word, each in counts.items())}")
    made = raw.get("made_split")
    if made:
        lines.append(f"split made with seed {made.get('seed')}: {made.get('fraction'):.0%} held out to validate")
    lines += [f"note: {each}" for each in raw.get("notes", ())]
    problems = list(raw.get("problems", ()))
    lines += [f"problem: {each}" for each in problems]
    more = int(raw.get("num_problems", len(problems))) - len(problems)
    return [*lines, f"and {more} more problems"] if more > 0 else lines
