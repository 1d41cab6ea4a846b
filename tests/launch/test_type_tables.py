"""Tables of types that are behind their source, damaged or absent: read off the source, told, never refused for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mimctl.config.types import generate, to_text
from mimctl.launch.experiments.type_tables import ReadTable, read_table, type_tables
from mimctl.plugin.discover import Plugin, discover, import_roots

ROOT = Path(__file__).parents[2]
NETS = """\
from mimctl.engine.registry import MODELS


@MODELS.register_module()
class Net:
    def __init__(self, width, depth=2):
        self.width = width
"""
MORE = """

@MODELS.register_module()
class Wide(Net):
    def __init__(self, width=9):
        super().__init__(width)
"""
MANIFEST = 'schema_version = 1\nname = "toy"\nsummary = "a toolbox"\n'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "src" / "mimctl_toy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "nets.py").write_text(NETS)
    (folder / "types.json").write_text(to_text(generate(folder)))
    return folder


def edit(package: Path, text: str) -> None:
    path = package / "nets.py"
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def models(read: ReadTable) -> set[str]:
    assert read.table is not None
    return set(read.table["kinds"]["model"])


@pytest.mark.parametrize("is_edited", [True, False])
def test_fresh_table_is_taken_as_it_is(package, tmp_path, is_edited):
    read = read_table(package, is_edited=is_edited, cache_dir=tmp_path / "cache")
    assert (models(read), read.problem) == ({"Net"}, None)


def test_table_behind_an_edited_source_is_not_believed(package, tmp_path):
    edit(package, NETS.replace("depth=2", "depth=2, norm=None") + MORE)
    read = read_table(package, is_edited=True, cache_dir=tmp_path / "cache")
    assert models(read) == {"Net", "Wide"}
    assert read.problem == "its types.json is behind its source (it lacks Wide; other arguments of Net)"
    assert models(read_table(package, is_edited=False)) == {"Net"}, "an installed toolbox is not read a second time"


def test_source_is_read_again_only_when_a_file_changed(package, tmp_path):
    cache = tmp_path / "cache"
    edit(package, NETS + MORE)
    read_table(package, is_edited=True, cache_dir=cache)
    (kept,) = (cache / "types").iterdir()
    marked = json.loads(kept.read_text())
    marked["table"]["kinds"]["model"]["Marked"] = marked["table"]["kinds"]["model"]["Net"]
    kept.write_text(json.dumps(marked))
    assert "Marked" in models(read_table(package, is_edited=True, cache_dir=cache))
    edit(package, NETS)
    assert models(read_table(package, is_edited=True, cache_dir=cache)) == {"Net"}
    kept.write_text("{")
    assert models(read_table(package, is_edited=True, cache_dir=cache)) == {"Net"}, "a damaged cache costs time alone"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "it has no types.json"),
        ("{", "its types.json cannot be read"),
        ("[" * 100_000, "its types.json cannot be read"),
        ("[]", "its types.json was written by another version of mimctl"),
        ('{"schema_version": 99}', "its types.json was written by another version of mimctl"),
        ('{"schema_version": SCHEMA, "scope": "toy", "kinds": {"model": ["Net"]}}', "its types.json is damaged"),
        ('{"schema_version": SCHEMA, "scope": "toy", "kinds": {"model": {"Net": {}}}}', "its types.json is damaged"),
        (
            '{"schema_version": SCHEMA, "scope": "toy", "kinds": {"model": {"Net": '
            '{"module": "m", "extra": false, "params": {"width": {}}}}}}',
            "its types.json is damaged",
        ),
    ],
)
@pytest.mark.parametrize("is_edited", [True, False])
def test_absent_or_damaged_table_is_made_from_source(package, text, problem, is_edited):
    schema = str(json.loads((package / "types.json").read_text())["schema_version"])
    (package / "types.json").unlink()
    if text is not None:
        (package / "types.json").write_text(text.replace("SCHEMA", schema))
    read = read_table(package, is_edited=is_edited)
    assert (models(read), read.problem) == ({"Net"}, problem)


def test_source_that_is_no_python_leaves_the_stored_table(package):
    edit(package, NETS + "def (\n")
    read = read_table(package, is_edited=True)
    assert models(read) == {"Net"}
    assert "cannot be compared with its source" in read.problem
    (package / "types.json").unlink()
    assert read_table(package, is_edited=True) == ReadTable(table=None, problem="it has no types.json")


def test_toolbox_without_a_usable_table_takes_none_from_others(package, tmp_path):
    site = tmp_path / "site"
    for name in ("toy", "bad"):
        info = site / f"mimctl_{name}-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "entry_points.txt").write_text(f"[mimctl.plugins]\n{name} = mimctl_{name}\n")
    (site / "toy.pth").write_text(f"{package.parent}\n")
    bad = site / "mimctl_bad"
    bad.mkdir()
    (bad / "__init__.py").write_text("")
    (bad / "plugin.toml").write_text(MANIFEST.replace("toy", "bad"))
    (bad / "types.json").write_text("{")
    (bad / "nets.py").write_text("register_module(")
    edit(package, NETS + MORE)
    plugins = [each for each in discover([site]) if isinstance(each, Plugin)]
    notes: list[str] = []
    change = package / "plugin.toml"
    change.write_text(f'{MANIFEST}scopes = ["mmtoy", "toys"]\n')
    plugins = [each for each in discover([site]) if isinstance(each, Plugin)]
    tables = type_tables(plugins, [*import_roots([site]), ROOT], cache_dir=tmp_path / "cache", note=notes.append)
    assert [each["scope"] for each in tables] == ["engine", "vision", "toy", "mmtoy", "toys"]
    assert notes == [
        "warning: toolbox `bad`: its types.json cannot be read; install it again: `mimctl install bad`",
        "warning: toolbox `toy`: its types.json is behind its source (it lacks Wide); write it anew: "
        "`mimctl plugin check toy`",
    ]
