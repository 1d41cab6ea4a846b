"""`mimctl train --fast-dev-run`: the number of batches reaches the run, and nothing is promised to be kept."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(("arguments", "batches"), [(["--fast-dev-run"], 1), (["--fast-dev-run", "3"], 3)])
def test_batches_reach_the_run(mimctl, toy, arguments, batches):
    said = mimctl("train", "toy", "toy_small", "--gpus", "0", "--json", "--dry-run", *arguments)
    assert said.code == 0, said.err
    assert json.loads(said.out)["spec"]["overrides"] == {"fast_dev_run": batches}


def test_end_names_no_checkpoint(mimctl, toy):
    said = mimctl("train", "toy", "toy_small", "--gpus", "0", "--fast-dev-run")
    assert said.code == 0, said.err
    assert "nothing of it is kept" in said.out + said.err
    assert "test it" not in said.out + said.err
