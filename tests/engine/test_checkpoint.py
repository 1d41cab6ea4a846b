"""Checkpoints: whole or not at all, read without running code."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mimctl.engine.checkpoint import (
    atomic_write,
    export_weights,
    find_latest,
    load_state_dict,
    read_checkpoint,
    resolve,
    save_checkpoint,
    use_weights,
)
from mimctl.errors import IntegrityError, MimctlError, UnsafeFileError

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


class Evil:
    """A class whose pickle calls a shell command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch /tmp/should-never-exist",))


class EvilBuild:
    """A class that is unknown and carries state."""

    def __init__(self) -> None:
        self.state = {"a": 1}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old-format"])
@pytest.mark.parametrize("bad", [Evil, EvilBuild])
def test_pickle_that_would_run_code_is_refused_by_name(tmp_path: Path, bad: type, zipped: bool) -> None:
    torch.save(
        {"state_dict": {"a": torch.ones(1)}, "meta": bad()},
        tmp_path / "a.pth",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(UnsafeFileError) as caught:
        read_checkpoint(tmp_path / "a.pth")
    expected = "posix.system" if bad is Evil else f"{__name__}.EvilBuild"
    assert caught.value.details["global"] == expected
    assert not Path("/tmp/should-never-exist").exists()


def test_function_of_a_known_package_is_refused_too(tmp_path: Path) -> None:
    module = types.ModuleType("mmengine.fileio")
    exec("def load(path): raise AssertionError('called')", module.__dict__)
    module.load.__module__ = "mmengine.fileio"

    class Caller:
        def __reduce__(self) -> tuple[Any, ...]:
            return (module.load, ("x",))

    sys.modules["mmengine"], sys.modules["mmengine.fileio"] = types.ModuleType("mmengine"), module
    try:
        torch.save({"state_dict": {"a": torch.ones(1)}, "meta": Caller()}, tmp_path / "a.pth")
    finally:
        del sys.modules["mmengine"], sys.modules["mmengine.fileio"]
    with pytest.raises(UnsafeFileError, match=r"mmengine\.fileio\.load"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.fixture
def history_buffer() -> Iterator[type]:
    """Stand in for OpenMMLab's class while a file is written; it is not importable when the file is read."""
    names = ["mmengine", "mmengine.logging", "mmengine.logging.history_buffer"]
    modules = [types.ModuleType(name) for name in names]
    kind = type("HistoryBuffer", (), {"__module__": names[-1]})
    modules[-1].HistoryBuffer = kind  # type: ignore[attr-defined]
    sys.modules.update(zip(names, modules, strict=True))
    yield kind
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old-format"])
def test_openmmlab_checkpoint_is_read_with_inert_stand_ins(tmp_path: Path, history_buffer: type, zipped: bool) -> None:
    history: Any = history_buffer()
    history._log_history = np.arange(5, dtype=np.float64)
    history._count_history = np.ones(5, dtype=np.int64)
    content = {
        "meta": {"epoch": 300, "best": np.float64(0.446), "count": np.int64(7), "CLASSES": ("a", "b")},
        "state_dict": {"weight": torch.ones(2)},
        "message_hub": {"log_scalars": {"train/loss": history}, "runtime_info": {"epoch": 299}},
    }
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    for name in [each for each in sys.modules if each.startswith("mmengine")]:
        del sys.modules[name]
    loaded = read_checkpoint(tmp_path / "a.pth")
    assert loaded["meta"] == {"epoch": 300, "best": 0.446, "count": 7, "CLASSES": ("a", "b")}
    assert torch.equal(loaded["state_dict"]["weight"], torch.ones(2))


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
