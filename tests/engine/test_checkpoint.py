"""Checkpoints: whole or not at all, read without running code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from mimctl.engine.checkpoints.checkpoint import (
    atomic_write,
    export_weights,
    find_latest,
    load_state_dict,
    read_checkpoint,
    resolve,
    save_checkpoint,
    use_weights,
)
from mimctl.errors import IntegrityError, MimctlError

CONTENT = {"meta": {"epoch": 1}, "state_dict": {"weight": torch.arange(6.0).reshape(2, 3)}}


def test_saved_checkpoint_is_read_back(tmp_path: Path) -> None:
    path = save_checkpoint(CONTENT, tmp_path / "deep" / "a.pth")
    loaded = read_checkpoint(path)
    assert loaded["meta"] == {"epoch": 1}
    assert torch.equal(loaded["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    assert [each.name for each in path.parent.iterdir()] == ["a.pth"]


def test_bare_state_dict_is_read_as_weights(tmp_path: Path) -> None:
    torch.save(CONTENT["state_dict"], tmp_path / "a.pth")
    assert set(read_checkpoint(tmp_path / "a.pth")) == {"state_dict", "meta"}


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = save_checkpoint(CONTENT, tmp_path / "a.pth")
    before = path.read_bytes()

    def half(temporary: Path) -> None:
        temporary.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, half)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.pth"]  # noqa: PTH208 — hidden files too


def test_saved_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    path = save_checkpoint(CONTENT, tmp_path / "a.pth")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "cut off or damaged"),
        (b"", "it is empty"),
        (b"<!DOCTYPE html><title>404</title>", "it is text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "first bytes"),
    ],
    ids=["truncated", "empty", "web page", "picture"],
)
def test_file_that_is_no_checkpoint_is_one_clear_error(tmp_path: Path, body: bytes | None, reason: str) -> None:
    path = save_checkpoint({**CONTENT, "filler": torch.zeros(1000)}, tmp_path / "a.pth")
    path.write_bytes(path.read_bytes()[:2000] if body is None else body)
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(path)
    assert caught.value.code == "bad-checkpoint"
    assert reason in caught.value.causes[0]


def test_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"anything": 1}, tmp_path / "dict.pth")
    for name in ("list.pth", "dict.pth"):
        with pytest.raises(IntegrityError):
            read_checkpoint(tmp_path / name)


def test_missing_checkpoint_names_its_neighbours(tmp_path: Path) -> None:
    save_checkpoint(CONTENT, tmp_path / "epoch_10.pth")
    with pytest.raises(MimctlError) as caught:
        read_checkpoint(tmp_path / "epoch_1.pth")
    assert caught.value.code == "checkpoint-not-found"
    assert "epoch_10.pth" in caught.value.hints[0]


def test_weights_travel_as_safetensors(tmp_path: Path) -> None:
    save_checkpoint({**CONTENT, "optimizer": {"state": torch.zeros(1000)}}, tmp_path / "a.pth")
    path = export_weights(tmp_path / "a.pth", tmp_path / "a.safetensors", meta={"dataset_meta": {"classes": ["x"]}})
    loaded = read_checkpoint(path)
    assert loaded["meta"] == {"dataset_meta": {"classes": ["x"]}}
    assert loaded["state_dict"]["weight"].dtype == torch.float32
    assert torch.equal(loaded["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    assert path.stat().st_size < 500
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(IntegrityError):
        read_checkpoint(path)


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
def test_safetensors_keep_kinds_of_numbers_and_facts(tmp_path: Path, dtype: str | None) -> None:
    weights = {
        "half": torch.tensor([0.5, 1.5], dtype=torch.bfloat16),
        "full": torch.tensor([[0.25, -2.0]]),
        "count": torch.tensor(7),
        "flag": torch.tensor([True, False]),
        "strided": torch.arange(6.0).reshape(2, 3).t(),
    }
    save_checkpoint({"meta": {"epoch": 3, "cfg": "a = 1\n"}, "state_dict": weights}, tmp_path / "a.pth")
    path = export_weights(tmp_path / "a.pth", tmp_path / "a.safetensors", dtype=dtype)
    with safe_open(str(path), framework="pt") as file:
        kinds = {key: str(file.get_tensor(key).dtype).removeprefix("torch.") for key in file.keys()}  # noqa: SIM118
    assert kinds == {
        "half": dtype or "bfloat16", "full": dtype or "float32", "count": "int64", "flag": "bool",
        "strided": dtype or "float32",
    }  # fmt: skip
    loaded = read_checkpoint(path)
    assert loaded["meta"] == {"epoch": 3, "cfg": "a = 1\n"}
    for key, value in weights.items():
        assert torch.equal(loaded["state_dict"][key].double(), value.double()), key


def test_url_is_looked_up_and_never_fetched(tmp_path: Path) -> None:
    url = "https://weights.invalid/a.pth"
    path = save_checkpoint(CONTENT, tmp_path / "a.pth")
    with pytest.raises(MimctlError) as caught:
        resolve(url)
    assert caught.value.code == "weights-not-fetched"
    with use_weights({url: str(path)}):
        assert resolve(url) == path
    with pytest.raises(MimctlError):
        resolve(url)


def test_load_state_dict_reports_what_did_not_fit() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    state["module.0.weight"] = torch.zeros(5, 3)
    state["module.extra"] = torch.zeros(1)
    del state["module.0.bias"]
    report = load_state_dict(model, state)
    assert report.mismatched == (("0.weight", (5, 3), (2, 3)),)
    assert report.unexpected == ("extra",)
    assert report.missing == ("0.bias",)
    assert "1.weight" in report.loaded
    with pytest.raises(MimctlError, match="do not fit"):
        load_state_dict(model, state, strict=True)


def test_prefix_takes_one_part_of_a_model() -> None:
    model = nn.Linear(1, 1)
    state = {"backbone.weight": torch.full((1, 1), 3.0), "backbone.bias": torch.zeros(1), "head.weight": torch.ones(1)}
    assert load_state_dict(model, state, prefix="backbone.", strict=True).is_complete
    assert model.weight.item() == 3.0


def test_modules_may_rename_what_old_checkpoints_call_otherwise() -> None:
    class Renamed(nn.Linear):
        def upgrade_state_dict(self, state_dict: dict[str, Any], prefix: str) -> None:
            if f"{prefix[:-1]}_kernel" in state_dict:
                state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix[:-1]}_kernel")

    model = nn.ModuleDict({"head": Renamed(3, 2, bias=False)})
    weights = {"module.head_kernel": torch.arange(6.0).reshape(2, 3)}
    assert load_state_dict(model, weights, strict=True).loaded == ("head.weight",)
    assert torch.equal(model["head"].weight, weights["module.head_kernel"])


def test_latest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    assert find_latest(tmp_path) is None
    first = save_checkpoint(CONTENT, tmp_path / "epoch_1.pth")
    second = save_checkpoint(CONTENT, tmp_path / "epoch_2.pth")
    os.utime(first, (1, 1))
    save_checkpoint(CONTENT, tmp_path / "best_x.pth")
    assert find_latest(tmp_path) == second
    (tmp_path / "last_checkpoint").write_text("/moved/away/epoch_1.pth")
    assert find_latest(tmp_path) == first
    first.write_bytes(first.read_bytes()[:-100])
    assert find_latest(tmp_path) == second
    body = bytearray(second.read_bytes())
    place = body.index(torch.arange(6.0).numpy().tobytes())
    body[place] ^= 1
    second.write_bytes(bytes(body))
    assert find_latest(tmp_path) is None, "a flipped bit fails the checksum"
