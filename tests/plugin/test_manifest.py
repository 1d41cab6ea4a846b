"""What a `plugin.toml` may hold: each mistake is named with its line, and only those that do harm break the toolbox."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimctl.cli.table import PLUGIN_VERBS
from mimctl.errors import MimctlError
from mimctl.plugin.fits import misfit_of
from mimctl.plugin.manifest import load_manifest, make_manifest, read_manifest
from mimctl.plugin.manifest_rules import VERBS, find_mistakes, line_of

GOOD = """\
schema_version = 1
name = "toy"
summary = "a toolbox for tests"
aliases = ["oldtoy"]
scopes = ["mmtoy"]
requires_engine = ">=0.1,<0.2"
requires_ops = false

[verbs]
train = "mimctl_toy.entries:train"

[configs]
root = "configs"

[contract]
input = [1, 3, 64, 64]

[[families]]
name = "Nets"
configs = "nets/*"

[[families]]
name = "Others"
configs = "others/*"
input = [1, 1, 32, 32]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "plugin.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_good_manifest_has_no_mistake(tmp_path):
    path = written(tmp_path, GOOD)
    assert list(find_mistakes(load_manifest(path)[1])) == []
    manifest = read_manifest(path)
    assert (manifest.requires_engine, manifest.contract_input) == (">=0.1,<0.2", (1, 3, 64, 64))
    assert manifest.words == ("toy", "oldtoy", "mmtoy")
    assert manifest.families == (("Nets", "nets/*"), ("Others", "others/*"))
    assert manifest.family_inputs == {"others/*": (1, 1, 32, 32)}


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("schema_version = 1", "schema_version = 2", 1, "it has schema version 2, this mimctl reads 1"),
        ("schema_version = 1", "schema_version = true", 1, "schema version True"),
        ('name = "toy"', "", None, "`name` wants a text, got None"),
        ('name = "toy"', 'name = "my-toy"', 2, "lower-case letters"),
        ('name = "toy"', 'name = "vision"', 2, "`vision` is a name of the engine's own"),
        ('summary = "a toolbox for tests"', "summary = 3", 3, "`summary` wants a text, got 3"),
        ('"a toolbox for tests"', '"two\\nlines"', 3, "`summary` wants one line"),
        ('["oldtoy"]', '"oldtoy"', 4, "`aliases` wants a list of texts"),
        ('["oldtoy"]', '["old toy"]', 4, "`aliases` wants words"),
        ('["mmtoy"]', '["mmengine"]', 5, "`mmengine` in `scopes` is a name of the engine's own"),
        ('">=0.1,<0.2"', '"0.1 or newer"', 6, "`requires_engine` wants versions such as `>=0.1,<0.2`"),
        ("requires_ops = false", 'requires_ops = "no"', 7, "`requires_ops` wants true or false"),
        ('"mimctl_toy.entries:train"', '"mimctl_toy.entries"', 10, "verb `train` wants `module:function`"),
        ("[verbs]\ntrain =", "verbs =", 9, "`verbs` wants a table"),
        ('root = "configs"', 'root = "../configs"', 13, "wants a folder inside the package"),
        ('root = "configs"', 'root = "/configs"', 13, "wants a folder inside the package"),
        ("[1, 3, 64, 64]", "[1, 3, -64]", 16, "`contract.input` wants a shape"),
        ("[1, 1, 32, 32]", "3", 25, "`families.1.input` wants a shape"),
        ('configs = "others/*"', "", 22, "a family wants `configs`"),
        ('name = "Others"', "name = []", 23, "`families.1.name` wants a text"),
    ],
)
def test_fatal_mistake_is_named_with_its_line(tmp_path, old, new, line, message):
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(MimctlError) as caught:
        read_manifest(path)
    assert message in str(caught.value)
    assert (caught.value.code, caught.value.origin.file, caught.value.origin.line) == ("broken-plugin", str(path), line)


@pytest.mark.parametrize(
    ("old", "new", "line", "near"),
    [
        ("aliases =", "alias =", 4, ("aliases",)),
        ("requires_engine", "require_engine", 6, ("requires_engine",)),
        ("train =", "trian =", 10, ("train",)),
        ("root =", "rot =", 13, ("root",)),
        ('configs = "others/*"', 'configs = "others/*"\npapers = "x"', 25, ("paper",)),
    ],
)
def test_unknown_key_is_a_mistake_that_breaks_nothing(tmp_path, old, new, line, near):
    path = written(tmp_path, GOOD.replace(old, new))
    text, data = load_manifest(path)
    (mistake,) = find_mistakes(data)
    assert (line_of(text, mistake.path), mistake.near, mistake.is_fatal) == (line, near, False)
    read_manifest(path)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [("name = [", "not valid TOML", None), ('a = 1\nb = "x\n', "not valid TOML", 2), (b"\xff", "cannot be read", None)],
)
def test_what_is_no_toml_says_where(tmp_path, text, message, line):
    path = tmp_path / "plugin.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MimctlError, match=message) as caught:
        read_manifest(path)
    assert line is None or caught.value.origin.line == line


def test_every_verb_of_the_command_line_may_be_offered():
    assert {"train", "test", "infer", "data", *PLUGIN_VERBS} == set(VERBS)


scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=8), st.dates())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
good = {name: st.just(value) for name, value in tomllib.loads(GOOD).items()}
manifests = st.fixed_dictionaries({}, optional={name: st.one_of(usual, values) for name, usual in good.items()})


@given(data=manifests, others=st.dictionaries(st.text(max_size=8), values, max_size=2))
def test_whatever_a_manifest_holds_it_is_judged_or_taken(data, others):
    """A broken toolbox must not break the scan of the others, so no value of any kind may raise."""
    mistakes = list(find_mistakes({**others, **data}))
    if not any(each.is_fatal for each in mistakes):
        manifest = make_manifest({**others, **data})
        assert all(isinstance(each, str) for each in manifest.words)
        misfit_of(manifest.requires_engine or ">=0", "0.1.0")
    for each in mistakes:
        line_of(GOOD, each.path)


@given(text=st.text(alphabet="<>=~!.,0123456789abcrv*+ -", max_size=14))
def test_any_text_for_an_engine_is_a_range_or_unreadable(text):
    data = {"schema_version": 1, "name": "toy", "summary": "x", "requires_engine": text}
    if not list(find_mistakes(data)):
        assert misfit_of(text, "0.1.0") in (None, "too old", "too new", "unreadable")


def test_deep_nesting_is_no_toml(tmp_path):
    path = written(tmp_path, "a = " + "[" * 100_000)
    with pytest.raises(MimctlError, match="nested too deeply"):
        read_manifest(path)
