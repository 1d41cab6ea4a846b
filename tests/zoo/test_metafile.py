"""Metafiles in OpenMMLab's form, with all that is irregular in them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mimctl.errors import IntegrityError, MimctlError
from mimctl.zoo.metafile import parse_metafiles, read_models
from mimctl.zoo.rows import row_of_facts

NET = """\
Collections:
  - Name: Net
    Metadata:
      Training Data: COCO
      Training Resources: 8x V100 GPUs
      Architecture: [FPN, ResNet]
    Paper: {URL: https://example.org/net, Title: A Net}
    README: configs/net/README.md
Models:
  - Name: net_s
    Alias: net-s
    In Collection: Net
    Config: configs/net/net_s.py
    Metadata:
      Training Memory (GB): 3.5
      Epochs: 12
      Released: 2021-05-03
      inference time (ms/im):
        - {value: 30.5, hardware: V100, backend: PyTorch, batch size: 1, mode: FP32, resolution: "(800, 1333)"}
    Results:
      - {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 40.5}}
    Weights: https://example.org/net_s-12345678.pth
"""

ODD = """\
Models:
  - just a text
  - Name: several
    In Collection: Nowhere
    Weights: [https://example.org/a.pth, https://example.org/b.pth]
    Metadata: [not, a, mapping]
    Results: {Task: x, Dataset: null, Metrics: {}}
  - Name: number
    Weights: 7
    Metadata: {FLOPs: 24.33M, Parameters: .nan}
    Results:
      - {Task: Detection, Metrics: {AP: "33.1"}}
      - a text
  - {Config: configs/without_a_name.py}
"""


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_yml", ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_a_model_takes_over_what_its_collection_says(tmp_path):
    root = write(
        tmp_path, **{"model-index_yml": "Import: [configs/*/metafile.yml]\n", "configs__net__metafile_yml": NET}
    )
    (model,) = read_models(root, cache_dir=None).models
    row = row_of_facts(model, "mmtoy")
    assert (row.id, row.labels) == ("net_s", ("net-s",))
    assert row.fields == {
        "training_data": "COCO",
        "training_resources": "8x V100 GPUs",
        "architecture": ["FPN", "ResNet"],
        "training_memory(gb)": 3.5,
        "epochs": 12,
        "released": "2021-05-03",
        "inference_time(ms/im)[v100,pytorch,1,fp32,(800, 1333)]": 30.5,
        "coco/box_ap": 40.5,
        "weight": "https://example.org/net_s-12345678.pth",
        "model": "Net",
        "config": "configs/net/net_s.py",
        "paper": "https://example.org/net",
        "title": "A Net",
        "task": "Object Detection",
        "readme": "configs/net/README.md",
    }


def test_irregular_entries_are_read_as_far_as_they_go_and_named():
    facts = parse_metafiles([("a/metafile.yml", ODD.encode()), ("b/metafile.yml", b"{: ["), ("c/metafile.yml", b"")])
    rows = [row_of_facts(each, "x") for each in facts.models]
    assert [row.id for row in rows] == ["several", "number"]
    assert rows[0].fields["weight"] == ["https://example.org/a.pth", "https://example.org/b.pth"]
    assert rows[1].fields == {"flops": "24.33M", "ap": "33.1", "task": "Detection"}
    assert [each.split(":")[0] for each in facts.problems] == ["a/metafile.yml"] * 2 + ["b/metafile.yml"] + [
        "a/metafile.yml"
    ]


def test_a_metafile_that_is_a_bare_list_holds_models():
    facts = parse_metafiles([("m.yml", b"- {Name: one}\n- {Name: two}\n")])
    assert [each["name"] for each in facts.models] == ["one", "two"]


def test_an_index_that_names_nothing_leads_to_all_metafiles(tmp_path):
    root = write(tmp_path, **{"model-index_yml": "Import:\n", "configs__a__b__metafile_yml": NET})
    assert len(read_models(root, cache_dir=None).models) == 1


def test_dead_imports_are_passed_over_and_models_in_the_index_count(tmp_path):
    text = "Import: [configs/gone/metafile.yml, configs/net/metafile.yml]\nModels: [{Name: here}]\n"
    root = write(tmp_path, **{"model-index_yml": text, "configs__net__metafile_yml": NET})
    assert [each["name"] for each in read_models(root, cache_dir=None).models] == ["here", "net_s"]


@pytest.mark.parametrize("path", ["../../secret.yml", "/etc/passwd"])
def test_an_import_that_leaves_the_folder_is_refused(tmp_path, path):
    root = write(tmp_path, **{"model-index_yml": f"Import: [{path}]\n"})
    with pytest.raises(IntegrityError) as refused:
        read_models(root, cache_dir=None)
    assert refused.value.code == "bad-zoo"


def test_a_folder_without_any_metafile_has_no_models(tmp_path):
    with pytest.raises(MimctlError) as refused:
        read_models(tmp_path, cache_dir=None)
    assert refused.value.code == "no-zoo"


def test_aliases_of_aliases_do_not_unfold_without_end():
    bomb = "Models:\n  - Name: bomb\n    Metadata:\n      a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"      {after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    (model,) = parse_metafiles([("m.yml", bomb.encode())]).models
    assert len(json.dumps(model)) < 100_000


def test_what_was_parsed_is_kept_until_a_byte_changes(tmp_path):
    root = write(tmp_path / "pkg", configs__net__metafile_yml=NET)
    cache = tmp_path / "cache"
    first = read_models(root, cache_dir=cache)
    (kept,) = (cache / "metafiles").iterdir()
    data = json.loads(kept.read_text(encoding="utf-8"))
    data["models"][0]["name"] = "from the cache"
    kept.write_text(json.dumps(data), encoding="utf-8")
    os.utime(root / "configs" / "net" / "metafile.yml")
    assert read_models(root, cache_dir=cache).models[0]["name"] == "from the cache"
    write(root, configs__net__metafile_yml=NET + "\n")
    assert read_models(root, cache_dir=cache) == first
    assert len(list((cache / "metafiles").iterdir())) == 2


def test_a_damaged_or_unwritable_cache_is_no_hindrance(tmp_path):
    root = write(tmp_path / "pkg", configs__net__metafile_yml=NET)
    cache = tmp_path / "cache"
    first = read_models(root, cache_dir=cache)
    (kept,) = (cache / "metafiles").iterdir()
    kept.write_text("{half", encoding="utf-8")
    assert read_models(root, cache_dir=cache) == first
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert read_models(root, cache_dir=tmp_path / "file") == first
