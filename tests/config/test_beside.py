"""Which config belongs to a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimctl.config.beside import config_for_checkpoint
from mimctl.errors import IntegrityError

CONFIG = "model = dict(type='RTMDet')\n"


def put(path: Path, text: str = CONFIG) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def safetensors(path: Path, metadata: dict[str, str]) -> Path:
    header = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


def test_option_comes_first(tmp_path: Path) -> None:
    put(tmp_path / "m.py")
    found = config_for_checkpoint(put(tmp_path / "m.pth"), config=tmp_path / "other.py")
    assert found is not None
    assert (found.path, found.source) == (tmp_path / "other.py", "option")


@pytest.mark.parametrize(
    "checkpoint",
    ["m_8xb32.pth", "m_8xb32_20220905_161602-387a891e.pth", "m_8xb32-387a891e_20200708.pth", "m_8xb32-0123abcd.pth"],
)
def test_config_of_the_same_name_is_found_without_date_and_hash(tmp_path: Path, checkpoint: str) -> None:
    own = put(tmp_path / "m_8xb32.py")
    put(tmp_path / "m_8xb16.py")
    found = config_for_checkpoint(put(tmp_path / checkpoint))
    assert found is not None
    assert (found.path, found.source) == (own, "beside")


def test_only_config_of_a_work_dir_is_taken(tmp_path: Path) -> None:
    own = put(tmp_path / "experiment.py")
    put(tmp_path / "make_plots.py", "import sys\n")
    found = config_for_checkpoint(put(tmp_path / "epoch_12.pth"))
    assert found is not None
    assert found.path == own
    assert config_for_checkpoint(put(tmp_path / "weights.pth")) is None
    put(tmp_path / "another.py")
    assert config_for_checkpoint(tmp_path / "epoch_12.pth") is None


def test_safetensors_file_tells_its_config_without_torch(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "w.safetensors", {"mimctl": json.dumps({"cfg": CONFIG})})
    found = config_for_checkpoint(path)
    assert found is not None
    assert (found.text, found.source, found.needs_trust) == (CONFIG, "checkpoint", False)
    path = safetensors(tmp_path / "w.safetensors", {"mimctl": json.dumps({"cfg": "custom_imports = 1\n"})})
    found = config_for_checkpoint(path)
    assert found is not None
    assert found.needs_trust


def test_checkpoint_that_only_the_child_can_read_gives_none(tmp_path: Path) -> None:
    assert config_for_checkpoint(put(tmp_path / "m.pth")) is None
    assert config_for_checkpoint(safetensors(tmp_path / "w.safetensors", {"format": "pt"})) is None


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, (10).to_bytes(8, "little") + b"not json!!", bytes(9)])
def test_malformed_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        config_for_checkpoint(path)
    assert caught.value.code == "bad-checkpoint"
