"""`Pretrained`: which part of which file is loaded, what is said of the rest, what is refused."""

from __future__ import annotations

import io
import logging
import tarfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mimctl.engine.checkpoints.checkpoint import read_checkpoint, use_weights
from mimctl.engine.model import BaseModule, initialize
from mimctl.errors import ConfigError, IntegrityError, MimctlError


class Backbone(BaseModule):
    """Two layers."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 1)
        self.norm = nn.BatchNorm2d(width)


def filled(model: nn.Module, value: float) -> dict[str, Tensor]:
    return {key: torch.full_like(each, value) for key, each in model.state_dict().items()}


def load(model: nn.Module, path: Path | str, **options: str) -> float:
    initialize(model, {"type": "Pretrained", "checkpoint": str(path), **options})
    return float(model.conv.weight.detach().flatten()[0])


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "meta": {}}])
@pytest.mark.parametrize("start", ["", "module."])
def test_published_formats_are_read(tmp_path, wrap, start, is_zip):
    state = {f"{start}{key}": value for key, value in filled(Backbone(), 4).items()}
    torch.save(wrap(state), tmp_path / "w.pth", _use_new_zipfile_serialization=is_zip)
    assert load(Backbone(), tmp_path / "w.pth") == 4


@pytest.mark.parametrize("prefix", ["backbone", "backbone."])
@pytest.mark.parametrize("start", ["", "module."])
def test_prefix_selects_a_part(tmp_path, prefix, start):
    state = {f"{start}backbone.{key}": value for key, value in filled(Backbone(), 4).items()}
    state |= {f"{start}backbone_old.{key}": value for key, value in filled(Backbone(), 9).items()}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    assert load(Backbone(), tmp_path / "w.pth", prefix=prefix) == 4


def test_unknown_prefix_is_an_error_with_the_nearest(tmp_path):
    torch.save({f"backbone.{key}": value for key, value in filled(Backbone(), 4).items()}, tmp_path / "w.pth")
    with pytest.raises(ConfigError) as caught:
        load(Backbone(), tmp_path / "w.pth", prefix="backbon.")
    assert caught.value.code == "bad-init-cfg"
    assert caught.value.hints == ("did you mean `prefix='backbone'`?",)


def test_weights_of_a_whole_model_say_which_prefix_is_missing(tmp_path):
    state = {f"encoder.net.{key}": value for key, value in filled(Backbone(), 4).items()}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(MimctlError) as caught:
        load(Backbone(), tmp_path / "w.pth")
    assert caught.value.code == "weights-mismatch"
    assert "prefix='encoder.net'" in caught.value.hints[0]
    assert load(Backbone(), tmp_path / "w.pth", prefix="encoder.net") == 4


def test_what_does_not_fit_is_named(tmp_path, caplog):
    state = {**filled(Backbone(), 4), "fc.weight": torch.zeros(2), "conv.weight": torch.zeros(3, 2, 1, 1)}
    del state["norm.bias"]
    torch.save(state, tmp_path / "w.pth")
    logging.getLogger("mimctl").propagate = True
    with caplog.at_level(logging.WARNING):
        load(Backbone(), tmp_path / "w.pth")
    assert "1 missing: norm.bias" in caplog.text
    assert "1 unexpected: fc.weight" in caplog.text
    assert "conv.weight [3, 2, 1, 1] (model: [3, 1, 1, 1])" in caplog.text


def test_name_of_a_classifier_means_its_backbone(tmp_path):
    state = {f"backbone.{key}": value for key, value in filled(Backbone(), 4).items()}
    torch.save({"state_dict": {**state, "head.fc.weight": torch.zeros(2)}}, tmp_path / "w.pth")
    with use_weights({"mmcls://resnet18": str(tmp_path / "w.pth")}):
        assert load(Backbone(), "mmcls://resnet18") == 4
        assert sorted(read_checkpoint("mmcls://resnet18")["state_dict"]) == sorted(Backbone().state_dict())


def test_name_that_was_not_fetched_stops_the_run():
    with pytest.raises(MimctlError) as caught:
        load(Backbone(), "torchvision://resnet50")
    assert caught.value.code == "weights-not-fetched"


def test_file_of_the_first_torch_is_told_apart_from_a_damaged_one(tmp_path):
    path = tmp_path / "w.pth"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = b"\x80\x02}q\x00."
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(path)
    assert "cannot be read without running code" in caught.value.causes[0]
