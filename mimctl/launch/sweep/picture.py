"""The trials of a sweep as a picture: a metric over what was varied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError
from mimctl.launch.sweep.axes import Range
from mimctl.launch.sweep.model import Sweep, Trial

PANEL_INCHES = (4.2, 3.6)
MOST_COLUMNS = 3
GRID_INCHES = (7.0, 4.5)


def draw(sweep: Sweep, trials: Sequence[Trial], metric: str, out: Path) -> None:
    """Draw a metric into a PNG file: of a grid over its first axis, of what was drawn a panel for each axis.

    Raises MimctlError[missing-extra] without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # type: ignore[import-not-found,unused-ignore]
        from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]
    except ImportError as err:
        raise MimctlError(
            "drawing a sweep needs matplotlib", code="missing-extra", hints=["`pip install 'mimctl[plot]'`"]
        ) from err
    told = [each for each in trials if _is_number(each.metrics.get(metric))]
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    if sweep.sampler == "grid":
        _draw_lines(figure, sweep, told, metric)
    else:
        _draw_panels(figure, sweep, told, metric)
    figure.savefig(out, dpi=120, format="png")


def _draw_lines(figure: Any, sweep: Sweep, trials: Sequence[Trial], metric: str) -> None:
    """Draw one line for each point of the axes after the first."""
    figure.set_size_inches(*GRID_INCHES)
    first, *others = sweep.axes
    axes = figure.add_subplot()
    lines: dict[str, list[tuple[Any, float]]] = {}
    for each in trials:
        label = ", ".join(f"{path.rpartition('.')[2]} {each.point[path]}" for path in others)
        lines.setdefault(label, []).append((each.point[first], each.metrics[metric]))
    is_numeric = all(_is_number(x) for line in lines.values() for x, _ in line)
    for label, line in lines.items():
        line = sorted(line) if is_numeric else line
        axes.plot([x if is_numeric else str(x) for x, _ in line], [y for _, y in line], marker="o", label=label or None)
    axes.set(xlabel=first, ylabel=metric)
    if others and lines:
        axes.legend()


def _draw_panels(figure: Any, sweep: Sweep, trials: Sequence[Trial], metric: str) -> None:
    """Draw a panel for each axis: what ran to its end filled, what was stopped early hollow."""
    columns = min(MOST_COLUMNS, len(sweep.axes))
    rows = -(-len(sweep.axes) // columns)
    figure.set_size_inches(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows)
    whole = [each for each in trials if each.phase == "done"]
    cut = [each for each in trials if each.phase == "pruned"]
    for place, (path, axis) in enumerate(sweep.axes.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        is_numeric = isinstance(axis, Range) or all(_is_number(each) for each in axis)
        for group, fill, label in ((whole, "C0", "done"), (cut, "none", "stopped early")):
            xs = [each.point[path] if is_numeric else str(each.point[path]) for each in group]
            ys = [each.metrics[metric] for each in group]
            if group:
                axes.scatter(xs, ys, facecolors=fill, edgecolors="C0", label=label)
        if isinstance(axis, Range) and axis.is_log:
            axes.set_xscale("log")
        axes.set(xlabel=path, ylabel=metric if (place - 1) % columns == 0 else "")
    if whole and cut:
        figure.axes[0].legend()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
