"""Upgrading what mimctl installed: all of it together, torch never."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_environment import make_env

import mimctl
from mimctl import api, settings
from mimctl.environment.installed import Target
from mimctl.errors import MimctlError
from mimctl.installer.upgrade import find_upgrade, own_upgrade
from mimctl.resolution.model import Present

THERE = ("torch==2.13.0", "mimctl==0.1.0", "mimctl-det==0.1.0", "mimctl-ops==0.1.0", "mmdet==3.3.0")
OURS = {
    name: Present(name=name, version="0.1.0", is_from_source=name == "mimctl-ops")
    for name in ("mimctl", "mimctl-det", "mimctl-ops")
}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ((), ("mimctl", "mimctl-det")),
        (("det",), ("mimctl", "mimctl-det")),
        (("mmdetection",), ("mimctl", "mimctl-det")),
        (("mmdet",), ("mmdet",)),
        (("mmdet", "mimctl"), ("mimctl", "mimctl-det", "mmdet")),
    ],
)
def test_one_of_ours_brings_the_others_along(names, wanted):
    request = find_upgrade(names, env=make_env(distributions=THERE), installed=OURS)
    assert request.names == wanted
    assert request.from_source == (("mimctl-ops",) if "mimctl" in wanted else ())


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [
        ("torch", "torch-kept", "do it yourself: `python -m pip install --upgrade torch`, then `mimctl doctor`"),
        ("dett", "not-installed", "did you mean `det`?"),
        ("det==0.2", "usage", "a certain version, address or folder is installed: `mimctl install 'det==0.2'`"),
    ],
)
def test_what_cannot_be_upgraded_is_told(name, code, hint):
    with pytest.raises(MimctlError) as caught:
        find_upgrade((name,), env=make_env(distributions=THERE), installed=OURS)
    assert (caught.value.code, caught.value.hints[0]) == (code, hint)


def test_an_environment_without_any_of_ours_says_so():
    with pytest.raises(MimctlError) as caught:
        find_upgrade((), env=make_env(), installed={})
    assert caught.value.code == "not-installed"


def test_the_command_line_of_another_version_is_upgraded_where_it_lives(monkeypatch, tmp_path):
    env = make_env()
    assert own_upgrade(env, mimctl.__version__) is None
    assert own_upgrade(env, None) is None
    assert own_upgrade(env, "9.0") == f"{Path(sys.executable)} -m pip install --upgrade mimctl"
    own = replace(env, target=Target(python=Path(sys.executable), source="its own", is_own=True))
    assert own_upgrade(own, "9.0") is None
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "uv-receipt.toml").touch()
    assert own_upgrade(env, "9.0") == "uv tool upgrade mimctl"
    (tmp_path / "pipx_metadata.json").touch()
    assert own_upgrade(env, "9.0") == "pipx upgrade mimctl"


@pytest.fixture
def configured(bench, monkeypatch, tmp_path):
    """Return the settings that name the bench's target, index and installer."""
    monkeypatch.setenv("MIMCTL_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("MIMCTL_CACHE_DIR", str(bench.cache))
    flags = {"python": str(bench.venv), "index": (bench.site.url,), "installer": bench.choice}
    return settings.load(flags, folder=tmp_path)


def test_upgrade_brings_toolbox_engine_and_ops_to_one_version_and_leaves_torch(bench, configured):
    bench.install("det")
    assert api.prepare_upgrade(settings=configured).nothing_to_do
    bench.public.add_torch("2.14.0+cpu")
    bench.public.add("numpy", "2.4.0")
    bench.site.add_core("0.2.0")
    bench.site.add_ops("cpu", "0.2.0")
    bench.site.add_det("0.2.0", requires=("mimctl[engine]==0.2.0", "mimctl-ops==0.2.0"))
    before = bench.files()
    plan = api.prepare_upgrade(["det"], settings=configured)
    assert {each.name: (each.previous, each.version) for each in plan.changes} == dict.fromkeys(
        ("mimctl", "mimctl-det", "mimctl-ops"), ("0.1.0", "0.2.0")
    )
    assert bench.files() == before, "a plan changes nothing"
    result = api.upgrade(plan=plan, settings=configured)
    assert {change.name for change in result.changes} == {"mimctl", "mimctl-det", "mimctl-ops"}
    after = bench.env.distributions
    assert {name: after[name].version for name in ("torch", "numpy", "mimctl", "mimctl-det", "mimctl-ops")} == {
        "torch": "2.13.0+cpu",
        "numpy": "2.1.0",
        "mimctl": "0.2.0",
        "mimctl-det": "0.2.0",
        "mimctl-ops": "0.2.0",
    }
    assert api.find_own_upgrade(settings=configured) == f"{Path(sys.executable)} -m pip install --upgrade mimctl"
    assert api.prepare_upgrade(settings=configured).nothing_to_do
