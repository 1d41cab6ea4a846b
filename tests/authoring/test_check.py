"""`mimctl plugin check`: each mistake of a toolbox's author is named with its place, before any user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from toy_toolbox import ROOT, Said, command
from written_toolbox import change, make_toolbox

from mimctl.config.types import generate, to_text

MODELS = "mimctl_dots/models.py"
MANIFEST = "mimctl_dots/plugin.toml"
TORCH = "from torch import nn\n"
PROJECT = "pyproject.toml"
VERBS = "mimctl_dots/verbs.py"
SMALL = "mimctl_dots/configs/dots/dots_small.py"


@pytest.fixture
def toolbox(tmp_path: Path) -> Path:
    return make_toolbox(tmp_path / "my dots")


def check(toolbox: Path | str, *options: str, cwd: Path | None = None, site: Path | None = None) -> Said:
    """Run the command in an environment of its own; by default the interpreter is this one, which has torch."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    paths = os.pathsep.join(map(str, [ROOT, *([site] if site else [])]))
    with tempfile.TemporaryDirectory() as home:
        environment = {**kept, "HOME": home, "PYTHONPATH": paths, "MIMCTL_PYTHON": sys.executable}
        done = subprocess.run(
            command("plugin", "check", toolbox, *options),
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


def document(said: Said) -> dict:
    assert said.out.startswith("{"), said.err
    return json.loads(said.out)


def test_good_toolbox_passes_every_check(toolbox):
    said = check(toolbox)
    assert said.code == 0, said.out + said.err
    assert said.out == (
        "ok    manifest   `dots`: 2 verbs, also dotty\n"
        "ok    source     3 modules, imports in the allowed directions\n"
        "ok    types      types.json has the source's 1 type\n"
        "ok    configs    2 configs without a mistake\n"
        "ok    packaging  name, entry point, requirements and licence are as they should be\n"
        "ok    contract   verbs that import: 2\n"
        "ok    contract   types that import and take what types.json says: 1\n"
        "ok    contract   models that build and answer a tensor of 1x3x16x16: 2, of 2 configs\n"
        "\n"
        "8 ok\n"
    )


def test_folder_of_the_package_and_the_folder_one_stands_in_mean_the_same(toolbox):
    inside = check(".", "--no-run", cwd=toolbox)
    assert inside.code == 0
    assert inside.out == check(toolbox / "mimctl_dots", "--no-run").out
    assert inside.out == check(".", "--no-run", cwd=toolbox / "mimctl_dots" / "configs" / "dots").out


CASES = [
    # file, old, new, check, what is said, file and line that are named
    (MANIFEST, "summary =", "sumary =", "manifest", "`summary` wants a text", None),
    (MANIFEST, "aliases =", "alias =", "manifest", "a manifest has no key `alias`", (MANIFEST, 4)),
    (MANIFEST, "dots.verbs:infer", "dots.verb:infer", "manifest", "no module `mimctl_dots.verb`", (MANIFEST, 9)),
    (MANIFEST, "verbs:infer", "verbs:infr", "manifest", "defines no `infr`", (MANIFEST, 9)),
    (MANIFEST, "infer =", "inferr =", "manifest", "nothing calls a verb `inferr`", (MANIFEST, 9)),
    (VERBS, "infer(spec)", "infer(spec, more)", "manifest", "one argument", (VERBS, 4)),
    (MANIFEST, 'root = "configs"', 'root = "config"', "manifest", "`config`, is no folder", (MANIFEST, 12)),
    (MANIFEST, '"dots/*"', '"dot/*"', "manifest", "no config is called `dot/*`", (MANIFEST, 19)),
    (MANIFEST, '">=0.1,<0.2"', '">=7"', "manifest", "which is too old", (MANIFEST, 5)),
    (MODELS, "from torch", "from torch import\nfrom torch", "source", "not valid Python", (MODELS, 3)),
    (MODELS, TORCH, TORCH + "from mimctl import api", "source", "`mimctl.api`", (MODELS, 4)),
    (MODELS, TORCH, TORCH + "import mimctl.zoo.model", "source", "command line's", (MODELS, 4)),
    (MODELS, TORCH, TORCH + "import mimctl_other", "source", "another toolbox", (MODELS, 4)),
    (MODELS, TORCH, TORCH + "import mimctl_ops", "source", "`mimctl_ops` itself", (MODELS, 4)),
    (MODELS, TORCH, TORCH + "import click", "source", "it imports `click`", (MODELS, 4)),
    (SMALL, "'dots'", "'dots'\nmodel = dict(width=4, dept=3)", "configs", "takes no argument `dept`", (SMALL, 3)),
    (SMALL, "_base_ =", "open('x')\n_base_ =", "configs", "open", (SMALL, 1)),
    (SMALL, "model.py", "modle.py", "configs", "modle.py", None),
    (PROJECT, 'dots = "mimctl_dots"', 'dots = "mimctl_dot"', "packaging", "'mimctl_dot'", (PROJECT, 14)),
    (PROJECT, "mimctl[engine]", "mimctl", "packaging", "does not require `mimctl[engine]`", (PROJECT, 9)),
    (PROJECT, '"mimctl[engine]>=0.1,<0.2"', '"mimctl[engine]>=7"', "packaging", "and this is mimctl", None),
    (PROJECT, "hatchling.build", "setuptools.build_meta", "packaging", "out of the wheel", (PROJECT, 1)),
    (PROJECT, "[project]", "[project", "packaging", "not valid TOML", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "name", "words", "place"), CASES, ids=[f"{each[3]}: {each[2]}" for each in CASES]
)
def test_mistake_is_named_with_its_place(toolbox, file, old, new, name, words, place):
    change(toolbox, file, old, new)
    said = check(toolbox, "--no-run", "--json")
    found = [each for each in document(said)["findings"] if each["status"] == "fail" and words in each["message"]]
    assert said.code == 1
    assert found, said.out
    assert name in {each["check"] for each in found}
    if place is not None:
        assert (str(toolbox / place[0]), place[1]) in {(each["file"], each["line"]) for each in found}


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (MANIFEST, 'requires_engine = ">=0.1,<0.2"\n', "", "does not say which engine it needs"),
        (MODELS, TORCH, TORCH + "import torchvision", "which takes seconds"),
        (MODELS, TORCH, TORCH + "from mmcv.ops import nms", "it imports `mmcv`"),
        (PROJECT, 'license = "Apache-2.0"\n', "", "it has no licence"),
        (PROJECT, "mimctl-dots", "dots", "the distribution is called `dots`"),
    ],
)
def test_what_does_no_harm_is_a_warning(toolbox, file, old, new, words):
    change(toolbox, file, old, new)
    said = check(toolbox, "--no-run", "--json")
    assert said.code == 0, said.out
    warned = [each["message"] for each in document(said)["findings"] if each["status"] == "warn"]
    assert any(words in each for each in warned)


def test_table_behind_its_source_is_written_anew_and_only_told_with_no_write(toolbox):
    table = toolbox / "mimctl_dots" / "types.json"
    change(toolbox, MODELS, "depth=2,", "depth=2, norm=None,")
    before = table.read_text()
    refused = check(toolbox, "--no-run", "--no-write")
    assert refused.code == 1
    assert "fail  types      its types.json is behind its source (other arguments of DotCounter)" in refused.out
    assert table.read_text() == before
    mended = check(toolbox, "--no-run")
    assert mended.code == 0
    assert "written anew with 1 type" in mended.out
    assert table.read_text() == to_text(generate(toolbox / "mimctl_dots"))
    table.unlink()
    assert "it has no types.json; written anew" in check(toolbox, "--no-run").out
    assert table.is_file()
    assert check(toolbox, "--no-run", "--no-write").code == 0


def test_configs_are_checked_against_the_source_whatever_the_table_says(toolbox):
    change(toolbox, MODELS, "depth=2,", "depth=2, norm=None,")
    change(toolbox, SMALL, "'dots'", "'dots'\nmodel = dict(norm='BN')")
    assert check(toolbox, "--no-run").code == 0


CONTRACT = [
    (VERBS, '"""Verbs."""', "import no_such_module", "verb `infer` cannot be imported", (VERBS, 1)),
    (MODELS, TORCH, TORCH + "raise OSError('no disk')", "OSError: no disk", (MODELS, 4)),
    (MODELS, "raise ValueError(f", "return (f", "takes any `mode`", None),
    (MODELS, "return out\n", "return None\n", "returns None", None),
    (MODELS, ', mode="tensor"', "", "has no `mode`", None),
    (MODELS, "nn.Conv2d(3 if", "nn.Conv2d(4 if", "RuntimeError", None),
    (MODELS, "        super()", "        raise KeyError('lost')\n        super()", "KeyError: 'lost'", (MODELS, 14)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "words", "place"),
    [
        pytest.param(*each, id=each[3], marks=() if number in (1, 6) else pytest.mark.slow)
        for number, each in enumerate(CONTRACT)
    ],
)
def test_what_only_running_tells_is_named(toolbox, file, old, new, words, place):
    change(toolbox, file, old, new)
    said = check(toolbox, "--json")
    found = [each for each in document(said)["findings"] if each["status"] == "fail"]
    assert said.code == 1, said.out
    assert {each["check"] for each in found} == {"contract"}, found
    assert any(words in each["message"] for each in found), found
    if place is not None:
        assert (str(toolbox / place[0]), place[1]) in {(each["file"], each["line"]) for each in found}


def test_class_that_registers_itself_in_a_loop_is_not_overlooked(toolbox):
    change(toolbox, MODELS, "@MODELS.register_module()\n", "")
    with (toolbox / MODELS).open("a") as file:
        file.write("\n\nfor name in ('Dot', 'Dots'):\n    MODELS.register_module(name=name, module=DotCounter)\n")
    change(toolbox, "mimctl_dots/configs/_base_/model.py", "DotCounter", "Dots")
    with (toolbox / MODELS).open("a") as file:
        file.write("\n\n@MODELS.register_module()\nclass Other(DotCounter):\n    pass\n")
    said = check(toolbox, "--json")
    messages = [each["message"] for each in document(said)["findings"] if each["status"] == "fail"]
    assert any(
        "`Dots` is registered when its module is imported, and types.json does not know it" in each for each in messages
    )


def test_package_of_any_name_has_the_scopes_of_its_manifest(toolbox):
    (toolbox / "mimctl_dots").rename(toolbox / "counting")
    for file in ("pyproject.toml", "counting/plugin.toml"):
        change(toolbox, file, "mimctl_dots", "counting")
    change(toolbox, "counting/plugin.toml", 'aliases = ["dotty"]', 'scopes = ["mmdots"]')
    change(toolbox, "counting/configs/dots/dots_small.py", "'dots'", "'mmdots'")
    change(toolbox, "counting/configs/dots/dots_deep.py", "depth=3", "_delete_=True, type='dots.DotCounter', width=2")
    said = check(toolbox)
    assert said.code == 0, said.out
    assert "2 configs without a mistake" in said.out
    change(toolbox, "counting/configs/_base_/model.py", "width", "widht")
    assert "did you mean `width`" in check(toolbox, "--no-run").out


def test_interpreter_without_torch_skips_the_contract(toolbox, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    said = check(toolbox, "--python", str(bare / "bin" / "python"))
    assert (said.code, "skip  contract" in said.out, "has no torch" in said.out) == (0, True, True)


def install(toolbox: Path, site: Path, *, leave_out: str = "") -> Path:
    """Unpack a wheel of the toolbox into a folder of the import path, as an installer does."""
    site.mkdir()
    wheel = site.parent / "mimctl_dots-0.3-py3-none-any.whl"
    info = "mimctl_dots-0.3.dist-info"
    files = {
        path.relative_to(toolbox).as_posix(): path.read_text()
        for path in (toolbox / "mimctl_dots").rglob("*")
        if path.is_file()
    }
    files = {
        name: text
        for name, text in files.items()
        if "__pycache__" not in name and not (leave_out and name.endswith(leave_out))
    }
    files[f"{info}/METADATA"] = (
        "Metadata-Version: 2.1\nName: mimctl-dots\nVersion: 0.3\nRequires-Dist: mimctl[engine]>=0.1\n"
    )
    files[f"{info}/entry_points.txt"] = "[mimctl.plugins]\ndots = mimctl_dots\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_installed_toolbox_is_checked_by_name_and_left_as_it_is(toolbox, tmp_path):
    change(toolbox, MODELS, "depth=2,", "depth=2, norm=None,")  # the wheel's table is behind its source
    site = install(toolbox, tmp_path / "site")
    table = site / "mimctl_dots" / "types.json"
    before = table.read_bytes()
    said = check("dots", "--json", cwd=tmp_path, site=site)
    found = document(said)
    assert said.code == 1
    assert (found["source"], found["location"]) == (False, str(site / "mimctl_dots"))
    assert [each["check"] for each in found["findings"] if each["status"] == "fail"] == ["types"]
    assert table.read_bytes() == before


def test_wheel_without_its_data_files_is_told(toolbox, tmp_path):
    site = install(toolbox, tmp_path / "site", leave_out="types.json")
    said = check("dotty", "--json", cwd=tmp_path, site=site)
    messages = [each["message"] for each in document(said)["findings"] if each["status"] == "fail"]
    assert "its wheel does not hold `types.json`" in messages


def test_broken_toolbox_can_be_checked_by_its_name(toolbox, tmp_path):
    change(toolbox, MANIFEST, 'summary = "counts dots"', "summary = 3")
    site = install(toolbox, tmp_path / "site")
    said = check("dots", "--no-run", cwd=tmp_path, site=site)
    assert (said.code, "fail  manifest   `summary` wants a text, got 3" in said.out) == (1, True)
    assert "plugin.toml:3" in said.out


def test_word_that_an_installed_toolbox_claims_is_told(toolbox, tmp_path):
    site = install(toolbox, tmp_path / "site")
    other = make_toolbox(tmp_path / "other")
    (other / "mimctl_dots").rename(other / "mimctl_spots")
    change(other, "mimctl_spots/plugin.toml", 'name = "dots"', 'name = "spots"')
    said = check(other, "--no-run", "--json", site=site)
    found = [each for each in document(said)["findings"] if "is claimed by" in each["message"]]
    assert [(each["line"], each["status"]) for each in found] == [(4, "fail")]
    assert "`dotty` is claimed by mimctl-spots and by mimctl-dots" in found[0]["message"]


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [("empty", 2, "holds no toolbox"), ("dot", 1, "toolbox `dot` is not installed"), ("two", 2, "holds 2 toolboxes")],
)
def test_what_is_no_toolbox_says_what_to_type(tmp_path, target, code, words):
    (tmp_path / "empty").mkdir()
    for name in ("a", "b"):
        (tmp_path / "two" / name).mkdir(parents=True)
        (tmp_path / "two" / name / "plugin.toml").write_text("")
    said = check(target, cwd=tmp_path)
    assert (said.code, words in said.err) == (code, True), said.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cls", "det"])
def test_own_toolbox_passes_its_own_check(tmp_path, name):
    said = check(ROOT / "plugins" / name, "--no-write", cwd=tmp_path)
    assert said.code == 0, said.out
