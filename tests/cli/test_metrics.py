"""How the figures of a test are printed."""

from __future__ import annotations

from mimctl.cli.commands.test import metrics_table


def test_figures_stand_in_a_table_also_lists_and_matrices() -> None:
    metrics = {
        "accuracy/top1": 99.05,
        "support": 4,
        "recall_classwise": [100.0, 5.25],
        "confusion_matrix/result": [[10, 0], [1, 2]],
    }
    assert [getattr(line, "text", line) for line in metrics_table(metrics)] == [
        "metric                   value",
        "accuracy/top1            99.0500",
        "support                  4",
        "recall_classwise         100.0000   5.2500",
        "confusion_matrix/result  10  0",
        "                          1  2",
    ]
    assert metrics_table({}) == ["no metric was computed"]
