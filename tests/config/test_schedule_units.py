"""What schedules count, and the words for precision and compiling, are checked before any process starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mimctl.config import Config, check

ENGINE = json.loads((Path(__file__).resolve().parents[2] / "mimctl/engine/types.json").read_text(encoding="utf-8"))

RUN = """\
train_cfg = dict(type='IterBasedTrainLoop', max_iters=90)
optim_wrapper = dict(type='OptimWrapper', accumulative_counts=3, optimizer=dict(type='SGD', lr=0.1))
param_scheduler = [dict(type='LinearLR', begin=0, end=10{})]
{}
"""


@pytest.mark.parametrize(
    ("unit", "line", "told"),
    [
        (", by_epoch=False", "", []),
        (", by_optimizer_step=True", "precision = 'bf16-mixed'\ncompile = dict(backend='inductor')", []),
        ("", "", [("contradiction", "param_scheduler.0")]),
        (", by_optimizer_step=False", "", [("contradiction", "param_scheduler.0")]),
        (", by_optimizer_steps=True, by_epoch=False", "", [("bad-argument", "param_scheduler.0.by_optimizer_steps")]),
        (", by_epoch=False", "precision = 'bf16'", [("bad-value", "precision")]),
        (", by_epoch=False", "precison = 'bf16-mixed'", [("unknown-key", "precison")]),
        (", by_epoch=False", "compile = 'inductor'", [("bad-value", "compile")]),
    ],
)
def test_units_and_words_of_a_run_are_checked(
    load: Callable[[str], Config], unit: str, line: str, told: list[tuple[str, str]]
) -> None:
    errors = check(load(RUN.format(unit, line)), [ENGINE])
    assert [each.code for each in errors] == [code for code, _ in told]
    for error, (_, place) in zip(errors, told, strict=True):
        assert f"`{place}`" in f"{error.message} {error.causes}"
