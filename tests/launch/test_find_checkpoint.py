"""Which checkpoint a word means."""

from __future__ import annotations

import pytest

from mimctl.errors import MimctlError
from mimctl.launch.experiments.find_checkpoint import find_checkpoint


def test_last_is_what_the_pointer_names_even_after_the_folder_moved(tmp_path):
    (tmp_path / "epoch_9.pth").write_bytes(b"")
    (tmp_path / "epoch_10.pth").write_bytes(b"")
    (tmp_path / "last_checkpoint").write_text("/elsewhere/work_dirs/net/epoch_9.pth\n")
    assert find_checkpoint("last", tmp_path) == tmp_path / "epoch_9.pth"


def test_last_without_a_pointer_is_the_highest_number(tmp_path):
    for number in (9, 10, 2):
        (tmp_path / f"epoch_{number}.pth").write_bytes(b"")
    assert find_checkpoint("last", tmp_path) == tmp_path / "epoch_10.pth"


def test_a_folder_stands_for_its_best_else_its_last(tmp_path):
    (tmp_path / "epoch_3.pth").write_bytes(b"")
    assert find_checkpoint(str(tmp_path), tmp_path / "other") == tmp_path / "epoch_3.pth"
    (tmp_path / "best_coco_bbox_mAP_epoch_2.pth").write_bytes(b"")
    assert find_checkpoint(str(tmp_path), tmp_path / "other").name.startswith("best_")


def test_what_is_missing_names_what_is_there(tmp_path):
    (tmp_path / "epoch_12.pth").write_bytes(b"")
    with pytest.raises(MimctlError) as caught:
        find_checkpoint(str(tmp_path / "epoch_13.pth"), tmp_path)
    assert caught.value.code == "checkpoint-not-found"
    assert "epoch_12.pth" in caught.value.hints[0]
    with pytest.raises(MimctlError, match="has no best checkpoint"):
        find_checkpoint("best", tmp_path)
