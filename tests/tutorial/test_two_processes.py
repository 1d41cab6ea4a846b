"""Two processes, started as a person types it, train what one process does with the same batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_tutorial import SHORT, Mimctl


def rows_of(run: Path) -> list[dict[str, Any]]:
    [scalars] = run.glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in scalars.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_procs_2_is_one_process_with_the_same_batch(place: Path, mimctl: Mimctl) -> None:
    # From trained weights: early in a training the sum of qualities is below 1, where RTMDet's loss is no mean.
    shared = (
        "load_from=zoo/rtmdet_nano_digits.safetensors", "default_hooks.logger.interval=1",
        "log_processor.window_size=1", "train_dataloader.persistent_workers=False",
        "val_dataloader.persistent_workers=False",
    )  # fmt: skip
    for name, batch, ranks in (("one", 8, ("--procs", "1")), ("two", 4, ("--procs", "2"))):
        options = ("--epochs", "1", "--seed", "1", "--work-dir", name, *ranks, *SHORT, *shared)
        batch_size = f"train_dataloader.batch_size={batch}"
        done = mimctl("train", "det", "rtmdet_nano_digits", *options, batch_size, cwd=place)
        assert done.returncode == 0, done.stderr
    one, two = rows_of(place / "one"), rows_of(place / "two")
    assert len(one) == len(two) >= 6
    for left, right in zip(one, two, strict=True):
        shown = [key for key in left if key.startswith(("lr", "loss", "coco"))]
        assert shown
        assert [left[key] for key in shown] == pytest.approx([right[key] for key in shown], rel=2e-3, abs=2e-3)
    [log] = (place / "two").glob("*/*_rank1.log")
    assert "Epoch(train) [1]" in log.read_text()
    kinds = [json.loads(line)["event"] for line in next((place / "two").glob("*/events.jsonl")).open()]
    assert kinds.count("done") == 1
