"""Toolboxes that do not go together, or not with the engine: refused by name, told everywhere, harmless to others."""

from __future__ import annotations

import json

import pytest
from toy_toolbox import MANIFEST, install_toolbox

from mimctl import __version__

CLAIMS = [
    ("an alias", MANIFEST.replace('["old{name}"]\nscopes', '["oldtoy"]\nscopes'), "oldtoy"),
    ("a scope", MANIFEST.replace('scopes = ["old{name}"]', 'scopes = ["oldtoy"]'), "oldtoy"),
    ("the name of another", MANIFEST.replace('aliases = ["old{name}"]', 'aliases = ["toy"]'), "toy"),
]


@pytest.fixture
def neighbour(site):
    return install_toolbox(site, "good")


@pytest.mark.parametrize(("what", "manifest", "word"), CLAIMS, ids=[each[0] for each in CLAIMS])
def test_two_that_claim_one_word_are_refused_by_every_name_of_theirs(mimctl, site, neighbour, what, manifest, word):
    install_toolbox(site, "toy")
    install_toolbox(site, "art", manifest=manifest)
    for name in {"toy", "art", word}:
        said = mimctl("train", name, "toy_small", "--gpus", "0")
        assert said.code == 1
        assert "error[name-claimed-twice]: toolbox `" in said.err
        assert f"the name `{word}` is claimed by" in said.err
        assert "hint: keep one of them: `mimctl uninstall mimctl-art`" in said.err
        assert "hint: or: `mimctl uninstall mimctl-toy`" in said.err
    assert mimctl("train", "good", "good_small", "--gpus", "0", "--dry-run").code == 0


def test_list_and_doctor_tell_of_a_word_claimed_twice(mimctl, site, neighbour):
    install_toolbox(site, "toy")
    install_toolbox(site, "art", manifest=CLAIMS[0][1])
    said = mimctl("list")
    assert said.out.count("broken: the name `oldtoy` is claimed by") == 2
    assert "warning: keep one of them: `mimctl uninstall mimctl-art`" in said.err
    listed = {each["name"]: each for each in json.loads(mimctl("list", "--json").out)["plugins"]}
    assert [listed[name]["code"] for name in ("art", "good", "toy")] == [
        "name-claimed-twice", None, "name-claimed-twice",
    ]  # fmt: skip
    checks = {each["name"]: each for each in json.loads(mimctl("doctor", "--json").out)["checks"]}
    assert (checks["toolboxes"]["status"], checks["toolboxes"]["code"]) == ("fail", "name-claimed-twice")
    assert checks["toolboxes"]["fixable"] is False
    assert "or: `mimctl uninstall mimctl-toy`" in checks["toolboxes"]["hints"]


def test_two_distributions_of_one_name_are_refused(mimctl, site, neighbour):
    install_toolbox(site, "toy")
    other = site / "their_toy-2.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: their-toy\nVersion: 2.0\n")
    (other / "entry_points.txt").write_text("[mimctl.plugins]\ntoy = mimctl_toy\n")
    said = mimctl("train", "toy", "toy_small", "--gpus", "0")
    assert (said.code, "error[name-claimed-twice]" in said.err) == (1, True)
    assert "the name `toy` is claimed by mimctl-toy and by their-toy" in said.err
    assert mimctl("list", "-q").out == "good\ntoy\ntoy\n"


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        (">=9", "bring a newer engine: `mimctl upgrade --all`"),
        ("~=9.1", "bring a newer engine: `mimctl upgrade --all`"),
        ("==9.*", "bring a newer engine: `mimctl upgrade --all`"),
        ("<0.1", "bring a newer toy: `mimctl upgrade toy`"),
        (f"!={__version__}", "bring a newer toy: `mimctl upgrade toy`"),
    ],
)
def test_toolbox_for_another_engine_is_refused_with_the_command_that_mends_it(mimctl, site, neighbour, wanted, hint):
    install_toolbox(site, "toy", manifest=f'requires_engine = "{wanted}"\n{MANIFEST}')
    said = mimctl("train", "toy", "toy_small", "--gpus", "0")
    assert said.code == 1
    assert "error[engine-version]: toolbox `toy` needs another engine" in said.err
    assert f"cause: it needs mimctl {wanted}, this environment has {__version__}" in said.err
    assert f"hint: {hint}" in said.err
    assert f"broken: it needs mimctl {wanted}, this environment has {__version__}" in mimctl("list").out
    assert mimctl("train", "good", "good_small", "--gpus", "0", "--dry-run").code == 0


@pytest.mark.parametrize("wanted", [">=0.1", f"=={__version__}", "~=0.1.0", ">=0.1,<0.2"])
def test_toolbox_for_this_engine_works(mimctl, site, wanted):
    install_toolbox(site, "toy", manifest=f'requires_engine = "{wanted}"\n{MANIFEST}')
    assert mimctl("train", "toy", "toy_small", "--gpus", "0", "--dry-run").code == 0
