"""`mimctl list` and packages that follow mim's convention."""

from __future__ import annotations

import json

import pytest
from mim_package import fake_torch, install, make_venv, write_package
from toy_toolbox import install_toolbox

NEEDS = "Provides-Extra: mim\nRequires-Dist: mmcv<2.2.0,>=2.0.0rc4; extra == 'mim'\nRequires-Dist: scipy"


@pytest.fixture
def place(tmp_path):
    python = make_venv(tmp_path / "venv")
    wheels = [
        write_package(tmp_path / "w"),
        write_package(tmp_path / "w", name="mmneedy", module="mmneedy", metadata=NEEDS),
        fake_torch(tmp_path / "w"),
    ]
    install(python, *wheels)
    site = next(python.parent.parent.glob("lib/python3*/site-packages"))
    (site / "left" / ".mim").mkdir(parents=True)
    return {"MIMCTL_PYTHON": str(python)}


def test_packages_stand_beside_toolboxes_with_what_keeps_them_from_working(mimctl, site, place):
    install_toolbox(site, "toy")
    said = mimctl("list", env=place)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].split() == ["toolbox", "version", "kind", "what", "it", "is", "for"]
    assert lines[1] == "toy           0.1.0    toolbox      a toolbox for tests"
    assert lines[2].startswith("left                   mim package  broken: no installed distribution owns")
    assert lines[3] == "mm-toy-suite  1.2.0    mim package  A package for tests"
    assert lines[4].startswith(
        "mmneedy       1.2.0    mim package  cannot work here: needs mmcv<2.2.0,>=2.0.0rc4, which is not installed; "
        "it has no build for torch 2.13.0+cpu"
    )
    assert lines[4].endswith("; and 1 more")
    assert mimctl("list", "-q", env=place).out.split() == ["toy", "left", "mm-toy-suite", "mmneedy"]


def test_json_has_all_reasons(mimctl, place):
    document = json.loads(mimctl("list", "--json", env=place).out)
    assert document["plugins"] == []
    left, fine, needy = document["packages"]
    assert "no installed distribution" in left["broken"]
    assert (fine["works"], fine["reasons"], fine["kind"]) == (True, [], "mim package")
    assert (needy["works"], len(needy["reasons"])) == (False, 2)


def test_all_lists_every_distribution(mimctl, site, place):
    install_toolbox(site, "toy")
    lines = mimctl("list", "--all", env=place).out.splitlines()
    assert [line.split()[:2] for line in lines[1:] if not line.startswith("mimctl ")] == [
        ["mimctl-toy", "0.1.0"],
        ["mm-toy-suite", "1.2.0"],
        ["mmneedy", "1.2.0"],
        ["torch", "2.13.0+cpu"],
    ]
    document = json.loads(mimctl("list", "--all", "--json", env=place).out)
    assert {"name": "torch", "version": "2.13.0+cpu"} in document["distributions"]
