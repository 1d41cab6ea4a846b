"""What was changed behind mimctl's back: `list` and `doctor` say so, `doctor --fix` brings it in order, torch stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from toy_toolbox import ROOT, Said, command

from mimctl import api, settings
from mimctl.api.mending import Step, find_steps
from mimctl.checkup.model import Check, Fix, Report
from mimctl.installer.model import InstallOptions


@pytest.fixture
def named(uv_bench, monkeypatch, tmp_path):
    """Return settings that name the bench's environment and index."""
    monkeypatch.setenv("MIMCTL_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("MIMCTL_CACHE_DIR", str(uv_bench.cache))
    flags = {"python": str(uv_bench.venv), "index": (uv_bench.site.url,), "installer": uv_bench.choice}
    return settings.load(flags, folder=tmp_path)


@pytest.fixture
def configured(named, uv_bench):
    """Return the settings of an environment into which mimctl has installed `det`."""
    api.install("det", settings=named)
    (uv_bench.env.paths.purelib / "mimctl_ops" / "_mimctl_ops.so").touch()  # the tiny wheel has no library
    return named


@pytest.fixture
def mimctl(uv_bench, tmp_path):
    """Type a line for that environment."""

    def run(*words: str) -> Said:
        variables = {
            "MIMCTL_HOME": str(tmp_path / "settings"),
            "MIMCTL_CACHE_DIR": str(uv_bench.cache),
            "MIMCTL_INDEX_URL": uv_bench.site.url,
            "MIMCTL_PYTHON": str(uv_bench.venv),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            command(*words), cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True, timeout=240
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


def found(configured) -> set[str]:
    """Return the codes of what `list` finds."""
    return {each.code for each in api.list_package(settings=configured).findings}


def failed(configured) -> dict[str, str | None]:
    """Return the checks of `doctor` that are not well, without those on who runs the tests, where."""
    others = ("mimctl", "verified", "hidden-packages")
    return {
        each.name: each.code
        for each in api.doctor(settings=configured).checks
        if each.status != "ok" and each.name not in others
    }


def test_after_an_installation_nothing_is_found(configured):
    assert (found(configured), failed(configured)) == (set(), {})


def test_a_replaced_torch_is_told_until_it_is_said_to_be_meant(configured, uv_bench, mimctl):
    uv_bench.put_torch("2.13.1+cpu")
    assert found(configured) == {"torch-replaced"}
    assert failed(configured) == {"torch-replaced": "torch-replaced"}
    listed = mimctl("list")
    assert listed.code == 0
    assert "warning: torch is 2.13.1+cpu now, it was 2.13.0+cpu when mimctl 0.1.0, mimctl-det 0.1.0" in listed.err
    files = uv_bench.files()
    said = mimctl("doctor", "--fix")
    assert said.code == 0, said.out + said.err
    assert found(configured) == set()
    changed = {path for path, digest in uv_bench.files().items() if files.get(path) != digest}
    assert {Path(path).name for path in changed} == {".mimctl-installed.json"}


def test_operators_that_another_torch_deserves_better_are_replaced(named, uv_bench, mimctl):
    is_pure = {"mimctl_ops-0.1.0-py3-none-any.whl"}
    uv_bench.site.entries[:] = [each for each in uv_bench.site.entries if each["filename"] not in is_pure]
    uv_bench.site.add_ops("python", tier="python")
    uv_bench.put_torch("2.9.1+cpu")
    api.install("det", InstallOptions(variant="python"), settings=named)
    assert failed(named) == {}
    uv_bench.put_torch("2.13.0+cpu")
    assert failed(named) == {"torch-replaced": "torch-replaced", "ops": "ops-build"}
    said = mimctl("doctor", "--fix")
    assert said.code == 0, said.out + said.err
    assert "fixed: replaced mimctl-ops 0.1.0\n" in said.out
    assert '"backend": "cpu"' in (uv_bench.env.paths.purelib / "mimctl_ops" / "build.json").read_text()


def test_two_opencvs_become_one_that_is_whole(configured, uv_bench, mimctl):
    uv_bench.put(uv_bench.public.add("opencv-python", "4.11", {"cv2/__init__.py": "other = True\n"}))
    assert found(configured) == {"opencv"}
    planned = mimctl("doctor", "--fix", "--dry-run")
    assert "      remove opencv-python 4.11\n" in planned.out
    assert "      replace opencv-python-headless 4.10 -> 4.10\n" in planned.out
    assert found(configured) == {"opencv"}
    said = mimctl("doctor", "--fix")
    assert said.code == 0, said.out + said.err
    assert "fixed: removed opencv-python 4.11\n" in said.out
    assert (found(configured), failed(configured)) == (set(), {})
    there = uv_bench.env
    assert "opencv-python" not in there.distributions
    assert (there.paths.purelib / "cv2" / "__init__.py").read_text() == ""


def test_a_toolbox_of_another_version_is_brought_in_line(configured, uv_bench, mimctl):
    for add in (uv_bench.site.add_core, lambda version: uv_bench.site.add_ops("cpu", version)):
        add("0.2.0")
    uv_bench.site.add_det("0.2.0", requires=("mimctl[engine]==0.2.0", "mimctl-ops==0.2.0"))
    uv_bench.put(next(uv_bench.site.wheels.glob("mimctl_det-0.2.0-*")))  # `pip install --no-deps`
    assert found(configured) == {"version-mismatch"}
    assert failed(configured)["versions"] == "version-mismatch"
    said = mimctl("doctor", "--fix", "--json")
    document = json.loads(said.out)
    assert said.code == 0, said.out
    (step,) = document["mended"]
    assert (step["kind"], {each["name"] for each in step["changes"]}) == ("upgrade", {"mimctl", "mimctl-ops"})
    assert found(configured) == set()


def test_what_pip_has_removed_comes_back(configured, uv_bench, mimctl):
    uv_bench.backend().uninstall(["numpy"])
    shutil.rmtree(uv_bench.env.paths.purelib / "cv2")
    assert failed(configured) == {"requirements": "unmet-requirement", "opencv": "opencv"}
    said = mimctl("doctor", "--fix")
    assert said.code == 0, said.out + said.err
    assert "fixed: installed numpy 2.1.0\n" in said.out
    assert failed(configured) == {}
    assert (uv_bench.env.paths.purelib / "cv2" / "__init__.py").is_file()


def test_what_cannot_be_fixed_is_told_and_the_rest_is_done(configured, uv_bench, mimctl):
    uv_bench.public.remove("opencv-python-headless")
    shutil.rmtree(uv_bench.cache)
    shutil.rmtree(uv_bench.env.paths.purelib / "cv2")
    uv_bench.backend().uninstall(["pillow"])
    said = mimctl("doctor", "--fix")
    assert said.code == 1
    assert "not fixed: reinstall opencv-python-headless: " in said.out
    assert "fixed: installed pillow 11.0\n" in said.out


def test_where_all_is_well_there_is_nothing_to_do(configured, uv_bench, mimctl):
    before = uv_bench.files()
    said = mimctl("doctor", "--fix")
    assert (said.code, said.out.splitlines()[0]) == (0, "no installation was killed")
    assert uv_bench.files() == before


def test_uninstalling_all_of_ours_takes_the_record_along(configured, uv_bench):
    record = uv_bench.env.paths.purelib.parent / ".mimctl-installed.json"
    assert record.is_file()
    api.uninstall(["mimctl-det", "mimctl-ops", "mimctl"], settings=configured)
    assert not record.exists()


@pytest.mark.parametrize(
    ("fixes", "steps"),
    [
        ([], ()),
        ([Fix()], ()),
        ([Fix(install=("a",)), Fix(install=("a", "b"))], (Step(kind="install", names=("a", "b")),)),
        ([Fix(install=("a",)), Fix(reinstall=("a",))], (Step(kind="reinstall", names=("a",)),)),
        (
            [Fix(remove=("x",), reinstall=("y",)), Fix(install=("a",)), Fix(upgrades=True)],
            (Step(kind="remove", names=("x",)), Step(kind="reinstall", names=("y",)), Step(kind="upgrade")),
        ),
    ],
)
def test_fixes_are_done_together_and_in_order(fixes, steps):
    checks = [Check(name=str(number), status="fail", summary="", fix=fix) for number, fix in enumerate(fixes)]
    assert find_steps(Report(target=None, checks=tuple(checks))) == steps
