"""A training goes on with another number of processes: what is kept, and what is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cases import CASES, Case
from killing import Life, killed_at, write_config

[TOGETHER] = [case for case in CASES if case.ranks == 2 and "early stopping" in case.name]
ALONE = replace(TOGETHER, ranks=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"), [(TOGETHER, ALONE), (ALONE, TOGETHER)], ids=["two, then one", "one, then two"]
)
def test_a_training_goes_on_with_another_number_of_processes(tmp_path: Path, before: Case, after: Case) -> None:
    config, work_dir = write_config(before, tmp_path / "parts"), tmp_path / "parts/run"
    killed_at(Life(before, config, work_dir, resume=False), iteration=3)
    newest = Path((work_dir / "last_checkpoint").read_text())
    saved = torch.load(newest, weights_only=True)
    # The data set keeps its size: what changes is who reads it.
    Life(after, config, work_dir, resume=True).finish()

    samples, step = saved["sampler"]["position"] * 4 * before.ranks, 4 * after.ranks
    log = "".join(path.read_text() for path in work_dir.glob("*/*.log"))
    assert (
        f"a step takes {step} samples, before it took {4 * before.ranks}: the epoch goes on behind "
        f"{samples - samples % step} of its samples, {samples % step} are seen twice"
    ) in log
    assert "the checkpoint has no random state for this number of ranks: the run goes on reseeded" in log
    done = [json.loads(line)["at"] for line in (tmp_path / "parts/record-0.jsonl").read_text().splitlines()]
    iterations = [int(each.split()[1]) for each in done if each.startswith("iteration")]
    again = iterations.index(saved["meta"]["iter"], 4) if saved["meta"]["iter"] in iterations[4:] else 4
    assert iterations[again:] == list(range(saved["meta"]["iter"], iterations[-1] + 1))
    assert iterations[-1] > 40 // after.ranks
