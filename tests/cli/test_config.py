"""`mimctl config` as people type it: show, diff, origin, lint."""

from __future__ import annotations

import json
import zipfile

import pytest
from mim_package import write_package

BASE = "default_scope = 'toy'\nmodel = dict(type='ToyNet', width=4)\npipeline = [dict(type='A'), dict(type='B', x=1)]\n"
MINE = "_base_ = './base.py'\nmodel = dict(width=8)\n"


@pytest.fixture
def here(mimctl, tmp_path):
    """The folder that `mimctl` is run in, with two configs."""
    folder = tmp_path / "here"
    (folder / "base.py").write_text(BASE)
    (folder / "mine.py").write_text(MINE)
    return folder


def test_show_prints_a_config_that_loads_back(mimctl, here):
    said = mimctl("config", "show", "mine.py")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "default_scope = 'toy'\nmodel = dict(type='ToyNet', width=8)\n"
        "pipeline = [dict(type='A'), dict(type='B', x=1)]\n"
    )
    (here / "whole.py").write_text(said.out)
    assert mimctl("config", "diff", "mine.py", "whole.py").out == "no difference\n"


@pytest.mark.parametrize(
    ("key", "kind", "text"),
    [
        ("model", "py", "model = dict(type='ToyNet', width=8)\n"),
        ("pipeline.1.x", "py", "x = 1\n"),
        ("pipeline.1", "py", "value = dict(type='B', x=1)\n"),
        ("model", "yaml", "type: ToyNet\nwidth: 8\n"),
        ("pipeline.0", "json", '{\n "type": "A"\n}\n'),
    ],
)
def test_show_prints_a_part_in_each_format(mimctl, here, key, kind, text):
    assert mimctl("config", "show", "mine.py", key, "--format", kind).out == text


def test_json_to_look_at_tells_what_it_cannot_carry_and_a_file_is_not_written(mimctl, here):
    (here / "tuples.py").write_text("a = dict(x=(1, 2))\n")
    said = mimctl("config", "show", "tuples.py", "--format", "json")
    assert (said.code, json.loads(said.out)) == (0, {"a": {"x": [1, 2]}})
    assert said.err.startswith("note: JSON cannot carry tuples")
    said = mimctl("config", "show", "tuples.py", "--out", "whole.json")
    assert (said.code, "`a.x`" in said.err, (here / "whole.json").exists()) == (2, True, False)
    assert mimctl("config", "show", "mine.py", "--format", "json").err == ""


def test_show_says_where_every_value_comes_from(mimctl, here):
    said = mimctl("config", "show", "mine.py", "--origin", "--cfg-options", "pipeline.1.x=2", "model.mode='(a'")
    assert said.out == (
        "default_scope = 'toy'  # base.py:1\nmodel.type = 'ToyNet'  # base.py:2\nmodel.width = 8  # mine.py:2\n"
        "model.mode = '(a'  # --cfg-options\npipeline.0.type = 'A'  # base.py:3\npipeline.1.type = 'B'  # base.py:3\n"
        "pipeline.1.x = 2  # --cfg-options\n"
    )
    document = json.loads(mimctl("config", "show", "mine.py", "model", "--origin", "--json").out)
    assert document["origins"] == {"model.type": "base.py:2", "model.width": "mine.py:2"}
    assert document["config"] == {"type": "ToyNet", "width": 8}


def test_show_writes_a_file_by_its_suffix(mimctl, here):
    said = mimctl("config", "show", "mine.py", "--out", "whole.yaml")
    assert (said.code, said.out) == (0, "whole.yaml\n")
    assert mimctl("config", "diff", "whole.yaml", "mine.py").code == 0
    assert mimctl("config", "show", "mine.py", "-o", "x.txt").code == 2
    assert mimctl("config", "show", "mine.py", "-o", "none/x.py").code == 2
    assert sorted(each.name for each in here.iterdir()) == ["base.py", "mine.py", "whole.yaml"]


@pytest.mark.parametrize(
    ("options", "key", "text"),
    [
        (["pipeline.0.y=c"], "pipeline.0", "value = dict(type='A', y='c')\n"),
        (["model.width=[1,2]", "model.a=(1,2)"], "model", "model = dict(type='ToyNet', width=[1, 2], a=(1, 2))\n"),
        (["model.width=1,2"], "model.width", "width = [1, 2]\n"),
        (["model=dict(_delete_=True, type='X')"], "model", "model = dict(type='X')\n"),
        (["model={'width': 1}"], "model", "model = dict(type='ToyNet', width=1)\n"),
        (["a.b=1", "--cfg-options", "a.c=None"], "a", "a = dict(b=1, c=None)\n"),
    ],
)  # fmt: skip
def test_overrides_of_every_shape(mimctl, here, options, key, text):
    assert mimctl("config", "show", "mine.py", key, "--cfg-options", *options).out == text


def test_numbers_that_json_does_not_know_and_odd_keys_make_a_document(mimctl, here):
    (here / "odd.py").write_text("a = dict(x=1e999, y={1: (2, 3)}, z={4})\n")
    document = json.loads(mimctl("config", "show", "odd.py", "--json").out)
    assert document["config"] == {"a": {"x": None, "y": {"1": [2, 3]}, "z": [4]}}


def test_diff_tells_changes_moves_and_types_and_ends_as_diff_does(mimctl, here):
    (here / "other.py").write_text(
        "default_scope = 'toy'\nmodel = dict(type='ToyNet', width=8.0)\n"
        "pipeline = [dict(type='B', x=1), dict(type='A'), dict(type='C', y=dict(z=1))]\n"
    )
    said = mimctl("config", "diff", "mine.py", "other.py")
    assert said.code == 1
    assert said.out == (
        "--- mine.py\n+++ other.py\n- model.width = 8\n+ model.width = 8.0\n~ pipeline.0 moved from pipeline.1: B\n"
        "+ pipeline.2.type = 'C'\n+ pipeline.2.y.z = 1\n"
    )
    document = json.loads(mimctl("config", "diff", "mine.py", "other.py", "--json").out)
    assert document["changes"][0] == {
        "kind": "changed",
        "path": "model.width",
        "old": 8,
        "old_type": "int",
        "old_origin": "mine.py:2",
        "new": 8.0,
        "new_type": "float",
        "new_origin": "other.py:2",
    }
    assert [(each["kind"], each.get("old_path")) for each in document["changes"]] == [
        ("changed", None),
        ("moved", "pipeline.1"),
        ("added", None),
    ]


def test_diff_with_overrides_alone(mimctl, here):
    said = mimctl("config", "diff", "mine.py", "--cfg-options", "model.width=9", "model.mode=x", "--origin")
    assert said.code == 1
    assert said.out == (
        "--- mine.py\n+++ --cfg-options model.width=9 model.mode=x\n"
        "- model.width = 8  # mine.py:2\n+ model.width = 9  # --cfg-options\n+ model.mode = 'x'  # --cfg-options\n"
    )
    assert mimctl("config", "diff", "mine.py").code == 2
    assert mimctl("config", "diff", "mine.py", "none.py").code == 2


def test_origin_tells_the_chain(mimctl, here):
    said = mimctl("config", "origin", "mine.py", "model", "--cfg-options", "model.width=9")
    assert said.out == (
        "model.type = 'ToyNet'  (base.py:2)\n"
        "model.width = 9  (--cfg-options)\n    was 8  (mine.py:2)\n    was 4  (base.py:2)\n"
    )
    document = json.loads(mimctl("config", "origin", "mine.py", "model.width", "--json").out)
    steps = [{"value": 4, "origin": "base.py:2"}, {"value": 8, "origin": "mine.py:2"}]
    assert document["origins"] == {"model.width": {"value": 8, "origin": "mine.py:2", "steps": steps}}


def test_origin_of_what_follows_from_an_override_is_the_override(mimctl, here):
    (here / "late.py").write_text("epochs = 300\ntrain_cfg = dict(\n    max_epochs=epochs)\n")
    said = mimctl("config", "origin", "late.py", "train_cfg", "--cfg-options", "epochs=40")
    assert said.out == "train_cfg.max_epochs = 40  (--cfg-options epochs)\n    was 300  (late.py:3)\n"


def test_origin_of_what_is_not_there(mimctl, here):
    said = mimctl("config", "origin", "mine.py", "model.widht")
    assert (said.code, "did you mean `model.width`" in said.err) == (2, True)
    (here / "gone.py").write_text("_base_ = './base.py'\nmodel = dict(_delete_=True, type='ToyNet')\n")
    said = mimctl("config", "origin", "gone.py", "model.width")
    assert (said.code, "it was set at base.py:2 and removed since" in said.err) == (2, True)


def test_lint_tells_all_mistakes_of_all_files_at_once(mimctl, here, toy):
    (here / "configs").mkdir()
    (here / "configs" / "_base_").mkdir()
    (here / "configs" / "_base_" / "b.py").write_text("model = dict(\n    type='ToyNt')\ndefault_scope = 'toy'\n")
    (here / "configs" / "a.py").write_text("_base_ = './_base_/b.py'\ntrain_cfg = dict(max_epochs=1, val_intervl=2)\n")
    (here / "configs" / "b.py").write_text("_base_ = './_base_/b.py'\n")
    (here / "configs" / "broken.py").write_text("x = 1\ny = (\n")
    (here / "configs" / "metafile.yml").write_text("Models: []\n")
    said = mimctl("config", "lint", "configs", "mine.py")
    assert said.code == 2
    lines = said.out.split("\n")
    places = [line.partition(": error[")[0] for line in lines if ": error[" in line]
    assert places == ["configs/_base_/b.py:2", "configs/a.py:2", "configs/broken.py:2"]
    assert "  cause: 2 configs are built on it, configs/a.py first" in lines
    assert said.err.endswith("3 mistakes in 4 configs\n")
    document = json.loads(mimctl("config", "lint", "configs", "--json").out)
    assert (document["ok"], document["files"]) == (False, 3)
    first = document["mistakes"][0]
    assert (first["code"], first["file"], first["line"], first["near"]) == (
        "unknown-type",
        "configs/_base_/b.py",
        2,
        ["ToyNet"],
    )
    assert first["configs"] == ["configs/a.py", "configs/b.py"]


def test_train_and_test_refuse_what_lint_finds_all_at_once(mimctl, here, toy):
    (here / "mine.py").write_text(
        "default_scope = 'toy'\nmodel = dict(type='ToyNet', wdth=4)\ntrain_cfg = dict(max_epochs='3')\n"
        "param_schedular = []\nenv_cfg = dict(mp_cfg=dict(mp_start_metod='fork'))\n"
    )
    mistakes = json.loads(mimctl("config", "lint", "mine.py", "--json").out)["mistakes"]
    places = {(each["code"], each["line"]) for each in mistakes}
    assert places == {
        ("unknown-key", 4), ("bad-argument", 2), ("missing-argument", 2), ("unknown-key", 5), ("bad-value", 3)
    }  # fmt: skip
    for verb in (("train", "toy", "mine.py"), ("test", "toy", "mine.py", "-C", "none")):
        said = mimctl(*verb, "--gpus", "0", "--json")
        errors = json.loads(said.out)["error"]["details"]["errors"]
        assert said.code == 2
        assert {(each["code"], int(each["origin"].rpartition(":")[2])) for each in errors} == places
        assert not (here / "work_dirs").exists()


def test_lint_of_what_is_right(mimctl, here, toy):
    said = mimctl("config", "lint", "mine.py")
    assert (said.code, said.out) == (0, "no mistake found\n")
    assert json.loads(mimctl("config", "lint", "mine.py", "--json").out)["mistakes"] == []
    assert mimctl("config", "lint", "mine.py", "--cfg-options", "model.widht=1").code == 2
    assert mimctl("config", "lint", "none").code == 2


def test_a_config_is_found_by_its_name_with_and_without_its_toolbox(mimctl, here, toy):
    own = mimctl("config", "show", "toy_small")
    assert own.code == 0
    assert mimctl("config", "show", "toy_small", "--plugin", "oldtoy").out == own.out
    assert mimctl("config", "show", "toy::nets/toy_small.py").out == own.out
    said = mimctl("config", "show", "toy_smal")
    assert (said.code, "did you mean `toy_small`" in said.err) == (2, True)
    said = mimctl("config", "show", "toy_big")
    assert (said.code, "error[config-ambiguous]" in said.err) == (2, True)
    assert "toy: nets/toy_big_2x.py" in said.err


def test_configs_of_a_package_of_mims_convention_are_found_by_name(mimctl, here, toy, site, tmp_path):
    with zipfile.ZipFile(write_package(tmp_path)) as wheel:
        wheel.extractall(site)
    text = "log_level = 'INFO'\nmodel = dict(type='Net', depth=50)\n"
    for words in (["net_s"], ["net_s_1x_coco", "--plugin", "mmtoy"], ["mmtoy::net/net_s_1x_coco.py"]):
        assert mimctl("config", "show", *words).out == text, words
    assert mimctl("config", "show", "net_l", "model.depth").out == "depth = 101\n"
    said = mimctl("config", "show", "twin")
    assert (said.code, "mm-toy-suite: two/twin.py" in said.err) == (2, True)
    said = mimctl("config", "show", "net_m_1x_coco")
    assert (said.code, "did you mean `net_s_1x_coco`" in said.err) == (2, True)


def test_what_is_no_config_says_so(mimctl, here):
    said = mimctl("config", "show", "min.py")
    assert (said.code, "did you mean `mine.py`?" in said.err) == (2, True)
    assert mimctl("config", "show", ".").code == 2
    said = mimctl("config", "show", "mine")
    assert (said.code, "did you mean `mine.py`?" in said.err) == (2, True)


def test_colours_are_only_where_they_are_wanted(mimctl, here):
    assert "\x1b[" in mimctl("config", "show", "mine.py", "--color", "always").out
    assert "\x1b[" in mimctl("config", "diff", "mine.py", "base.py", "--color", "always").out
    assert "\x1b" not in mimctl("config", "show", "mine.py").out
