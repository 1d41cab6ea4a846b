"""A training that is killed with SIGKILL, again and again, ends as the one that nobody killed, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import CASES, Case
from killing import Outcome, killed_training

SAMPLE = {"iterations without end, cached mixing, fp16": 2, "epochs, fp16, EMA, early stopping": 1}


def _id(case: Case) -> str:
    return f"{case.name}, {case.ranks} process(es), {case.workers} worker(s)"


@pytest.mark.parametrize("case", [case for case in CASES if case.name in SAMPLE], ids=_id)
def test_a_killed_training_ends_as_one_that_nobody_killed(case: Case, tmp_path: Path, outcomes: list[Outcome]) -> None:
    outcomes.append(killed_training(case, tmp_path, kills=SAMPLE[case.name], seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: _id(CASES[number]))
def test_killed_trainings_of_every_kind_end_as_ones_that_nobody_killed(
    number: int, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    outcome = killed_training(CASES[number], tmp_path, kills=5, seed=number)
    outcomes.append(outcome)
    assert outcome.kills == 5
