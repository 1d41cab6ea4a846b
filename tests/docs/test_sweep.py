"""The commands of the page on sweeps, typed in their order."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from login_node import Login
from page_reader import WITHOUT_GPUS, Reader

HERE = {**WITHOUT_GPUS, "coco/bbox_mAP": "toy/accuracy", "--trials 20": "--trials 3", "--trials 40": "--trials 4"}
PNG = b"\x89PNG"


def done_in(printed: str) -> int:
    """Return how many trials of a printed table are done."""
    return len(re.findall(r"^\d+ +done ", printed, re.MULTILINE))


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(cluster: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("optuna")
    reader = Reader("sweep.md", Login.at(tmp_path, **cluster), HERE)
    table = reader.types("mimctl sweep det my.py")
    assert done_in(table) == 4
    assert "toy/accuracy" in table
    again = reader.types("mimctl sweep det my.py")
    assert done_in(again) == 4
    assert "trial 0 of 4" not in again, "what is done stays"
    report = reader.types("mimctl sweep report")
    figures = [float(line.split()[4]) for line in report.splitlines() if " done " in line]
    assert figures == sorted(figures, reverse=True)
    reader.types("mimctl sweep report")
    reader.types("mimctl sweep report")
    assert (tmp_path / "my.png").read_bytes().startswith(PNG)
    assert len(list(csv.DictReader((tmp_path / "my.csv").open()))) == 4
    drawn = reader.types("mimctl sweep det my.py --gpus 1 --sampler tpe")
    assert done_in(drawn) == 3
    assert "best by `toy/accuracy` (max)" in drawn
    drawn = reader.types("mimctl sweep det my.py --gpus 1 --sampler asha")
    assert len(re.findall(r"^\d+ +(done|pruned) ", drawn, re.MULTILINE)) == 4
    reader.types("mimctl sweep report sweeps/asha")
    assert (tmp_path / "asha.png").read_bytes().startswith(PNG)
    assert done_in(reader.types("mimctl sweep det my.py --grid")) == 4
    assert done_in(reader.types("mimctl gridsearch")) == 2
    assert not reader.left
