"""The zoo file, the names in it, and what a short name means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimctl.errors import IntegrityError, MimctlError
from mimctl.zoo.catalogue.source import read
from mimctl.zoo.document import document_of, parse_zoo
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo, digits_in_name
from mimctl.zoo.names import resolve_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def det() -> Zoo:
    return read(ROOT / "index" / "zoo" / "det.yaml")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtmdet_s", "rtmdet_s_8xb32-300e_coco"),
        ("rtmdet_tiny", "rtmdet_tiny_8xb32-300e_coco"),
        ("rtmdet-t", "rtmdet_tiny_8xb32-300e_coco"),
        ("RTMDet_S", "rtmdet_s_8xb32-300e_coco"),
        ("rtmdet_x", "rtmdet_x_8xb32-300e_coco"),
        ("rtmdet_s_8xb32-300e_coco", "rtmdet_s_8xb32-300e_coco"),
        ("rtmdet/rtmdet_s_8xb32-300e_coco.py", "rtmdet_s_8xb32-300e_coco"),
        ("rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth", "rtmdet_s_8xb32-300e_coco"),
        ("faster-rcnn_r50_fpn_1x", "faster-rcnn_r50_fpn_1x_coco"),
        ("faster_rcnn_r50_fpn_1x_coco", "faster-rcnn_r50_fpn_1x_coco"),
        ("mask-rcnn_regnetx-3.2GF_fpn_ms-3x_coco", "mask-rcnn_regnetx-3.2GF_fpn_ms-3x_coco"),
    ],
)
def test_name_that_fits_one_model_resolves(det: Zoo, text: str, name: str) -> None:
    assert resolve_name(det.models, text).name == name


def test_name_that_fits_several_lists_them(det: Zoo) -> None:
    with pytest.raises(MimctlError) as caught:
        resolve_name(det.models, "rtmdet-ins")
    assert caught.value.code == "model-ambiguous"
    assert "rtmdet-ins_s_8xb32-300e_coco" in caught.value.causes
    assert len(caught.value.causes) == 5


@pytest.mark.parametrize("text", ["rtmdt_s", "yolox_", "", "\x1b[31mred", "../../etc/passwd"])
def test_unknown_name_is_an_error_without_control_characters(det: Zoo, text: str) -> None:
    with pytest.raises(MimctlError) as caught:
        resolve_name(det.models, text)
    assert caught.value.code in ("unknown-model", "model-ambiguous")
    assert str(caught.value).isprintable()


def test_a_model_that_is_listed_twice_is_one_model() -> None:
    weights = WeightsSource(url="https://h/a-0123abcd.pth")
    twins = [ModelEntry(name="a", weights=weights), ModelEntry(name="a", config="x/a.py", weights=weights)]
    assert resolve_name(twins, "a") is twins[1]
    with pytest.raises(MimctlError) as caught:
        resolve_name([*twins, ModelEntry(name="a", weights=WeightsSource(url="https://h/b.pth"))], "a")
    assert caught.value.code == "model-ambiguous"


def test_unknown_name_suggests_the_nearest(det: Zoo) -> None:
    with pytest.raises(MimctlError) as caught:
        resolve_name(det.models, "rtmdett-s")
    assert "`rtmdet_s`" in caught.value.hints[0]


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth", "387a891e"),
        ("hrnet_w32_coco_256x192-c78dce93_20200708.pth", "c78dce93"),
        ("tracktor_reid_r50_iter25245-a452f51f.pth", "a452f51f"),
        ("x-1234567.pth", "1234567"),
        ("rtmdet_nano-0123abcd.safetensors", "0123abcd"),
        ("rtmw_256x192-20231122.pth", None),
        ("ddq_detr_5scale_coco_1x.pth", None),
        ("model_final.pth", None),
    ],
)
def test_digits_of_the_hash_are_read_off_the_name(name: str, digits: str | None) -> None:
    assert digits_in_name(name) == digits


def test_zoo_file_reads_back_what_was_written(det: Zoo) -> None:
    assert parse_zoo(json.loads(json.dumps(document_of(det)))) == det


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../evil"},
        {"name": "a\x1b[2J"},
        {"name": "<script>"},
        {"name": 3},
        {"config": "../../x.py"},
        {"config": "/etc/passwd"},
        {"weights": {"url": "https://h/a/%2e%2e", "file": None}},
        {"weights": {"url": "https://h/a/%0a.pth", "file": None}},
        {"weights": {"url": None, "file": "../../secret"}},
        {"weights": {"url": "https://h/a.pth", "sha8": "zzzzzzzz"}},
        {"aliases": ["fine", "not\nfine"]},
        {"metadata": {"Training Data": "a\x1b[2J"}},
        {"results": [{"task": "x", "metrics": {"a\nb": 1}}]},
        {"parts": ["https://h/a.pth\n"]},
    ],
)
def test_hostile_entries_are_refused(change: dict[str, object]) -> None:
    data = {"schema_version": 1, "plugin": "det", "models": [{"name": "good", "weights": None, **change}]}
    with pytest.raises(IntegrityError) as caught:
        parse_zoo(data)
    assert caught.value.code == "bad-zoo"


@pytest.mark.parametrize("data", [{}, {"schema_version": 2}, {"schema_version": 1}, [], None])
def test_other_documents_are_no_zoo(data: object) -> None:
    with pytest.raises(IntegrityError):
        parse_zoo(data)  # type: ignore[arg-type]
