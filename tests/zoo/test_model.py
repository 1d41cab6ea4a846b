"""The zoo file, the names in it, and what a short name means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimctl.errors import IntegrityError, MimctlError
from mimctl.zoo.convert import entries_from_facts, main, merge
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo, digits_in_name, dump_zoo, parse_zoo, resolve_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def det() -> Zoo:
    return parse_zoo(json.loads((ROOT / "index" / "zoo" / "det.json").read_text(encoding="utf-8")))


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
    assert parse_zoo(json.loads(dump_zoo(det))) == det
    assert (ROOT / "index" / "zoo" / "det.json").read_text(encoding="utf-8") == dump_zoo(det)


names = st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)


@given(st.lists(st.builds(ModelEntry, name=names, aliases=st.tuples(names), is_buildable=st.booleans()), max_size=4))
def test_any_entries_survive_the_file(entries: list[ModelEntry]) -> None:
    zoo = Zoo(plugin="det", models=tuple(entries))
    assert parse_zoo(json.loads(dump_zoo(zoo))) == zoo


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


def test_import_keeps_our_own_models_and_survives_irregular_facts(tmp_path: Path) -> None:
    facts = [
        {"name": "a", "config": "configs/x/a.py", "weights": "https://h/a-0123abcd.pth", "results": []},
        {"name": "a", "config": "a.py", "weights": "https://h/a-0123abcd.pth"},
        {"name": "parts", "config": "configs/x/b.py", "weights": ["https://h/1.pth", "https://h/2.pth"]},
        {"name": "dead", "config": "configs/x/gone.py", "weights": None},
    ]
    own = ModelEntry(name="nano", weights=WeightsSource(file="zoo/files/nano.safetensors"))
    found = entries_from_facts(facts, source="pkg==1.0", buildable=["a"], has_config=lambda path: "gone" not in path)
    merged = merge(Zoo(plugin="det", models=(own, ModelEntry(name="old", config_source="pkg==0.9"))), found)
    assert [entry.name for entry in merged.models] == ["nano", "a", "parts", "dead"]
    assert merged.models[1].config == "x/a.py"
    assert merged.models[1].is_buildable
    assert (merged.models[2].weights, merged.models[3].config) == (None, None)


def test_committed_zoo_is_what_the_import_makes(test_reference: Path, tmp_path: Path) -> None:
    committed = ROOT / "index" / "zoo" / "det.json"
    copy = tmp_path / "det.json"
    copy.write_bytes(committed.read_bytes())
    facts = test_reference / "zoo.json"
    assert main(["import", str(copy), str(facts), "mmdet", "--source", "mmdet==3.3.0"]) == 0
    made, old = (parse_zoo(json.loads(path.read_text(encoding="utf-8"))) for path in (copy, committed))
    assert {entry.name: entry.weights for entry in made.models} == {entry.name: entry.weights for entry in old.models}


def test_model_of_our_own_is_added_with_hash_and_length(tmp_path: Path) -> None:
    zoo, weights = tmp_path / "det.json", tmp_path / "files" / "nano.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    options = [
        "--config",
        "x/nano.py",
        "--weights",
        str(weights),
        "--result",
        "Object Detection",
        "digits",
        "AP50",
        "0.9",
    ]
    for _ in range(2):
        assert main(["add", str(zoo), "nano", *options]) == 0
    (entry,) = parse_zoo(json.loads(zoo.read_text(encoding="utf-8"))).models
    assert entry.weights is not None
    assert (entry.weights.file, entry.weights.size) == ("zoo/files/nano.safetensors", 7)
    assert entry.weights.sha256 is not None
    assert entry.results == ({"task": "Object Detection", "dataset": "digits", "metrics": {"AP50": 0.9}},)
