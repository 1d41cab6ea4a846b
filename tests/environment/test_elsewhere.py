"""Facts that were printed on one machine are read on another, and count there; odd files are told, not trusted."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
from made_environment import make_env

from mimctl.environment.detect import detect
from mimctl.environment.elsewhere import on_machine, read_elsewhere
from mimctl.environment.installed import Fact
from mimctl.environment.model import Libc, Platform, Rocm, Toolkit
from mimctl.environment.on_node import MARK
from mimctl.environment.plain import FACTS, facts_of, read_facts, to_plain
from mimctl.errors import MimctlError, NoCompatibleBuildError
from mimctl.launch.slurm.nodes.parcel import OPEN, pack


def document(env, **more):
    return json.dumps({**to_plain(env), **more})


def test_facts_go_to_json_and_back(tmp_path):
    env = replace(
        make_env(torch="2.13.0+cu130", driver="580.65.06", gpus=("9.0", "8.0 MIG", "7.5 hidden"), cv2=True),
        cuda_toolkit=Fact(value=Toolkit(path=tmp_path, version=None), source="there"),
        rocm=Fact(value=Rocm(path=None, version=None, archs=("gfx942",)), source="there"),
    )
    for each in (env, detect(environ={"MIMCTL_DRIVER": "none"})):
        read = read_facts(json.loads(document(each))["facts"])
        expected = {**facts_of(each), "tags": read["tags"]}
        assert read == expected
        assert list(read) == list(FACTS)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"facts": None}, "no document of `mimctl env --json`"),
        ({"facts": {}}, "`platform` is missing"),
        ({"gpus": {"value": "two", "source": "x"}}, "`gpus`: 'two' is not a list"),
        ({"gpus": {"value": [{"name": "GPU"}], "source": "x"}}, "`gpus`: `capability` is missing"),
        ({"gpus": {"value": [{"name": "GPU", "capability": 9.0}], "source": "x"}}, "9.0 is not of the kind str"),
        ({"accelerator": {"value": {"kind": "tpu"}, "source": "x"}}, "'tpu' is not one of cuda, rocm, xpu, mps, none"),
        ({"libc": {"value": {"family": "glibc", "version": [2]}, "source": "x"}}, "`libc`"),
        ({"platform": {"value": None, "source": "x"}}, "None is not a table"),
        ({"platform": "linux"}, "`platform` has no value and source"),
    ],
)
def test_what_is_no_document_of_facts_is_refused_with_the_reason(change, cause):
    data = json.loads(document(make_env()))
    data = {**data, **change} if "facts" in change else {**data, "facts": {**data["facts"], **change}}
    with pytest.raises(MimctlError) as caught:
        read_elsewhere(json.dumps(data), name="`node.json`")
    assert caught.value.code == "bad-facts"
    assert cause in caught.value.causes[0]


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"facts": {"gpus": 1e999}}', "\x00"])
def test_a_file_that_is_something_else_is_refused(text):
    with pytest.raises(MimctlError, match="holds no facts"):
        read_elsewhere(text, name="`node.json`")


def test_a_driver_and_gpus_of_elsewhere_take_the_place_of_those_here():
    here = make_env(torch=None, driver=None)
    node = read_elsewhere(
        document(make_env(driver="535.1", gpus=("8.0",)), node="n1", looked="2026-11-21 14:03 UTC"),
        name="partition `p`",
    )
    there = on_machine(here, node)
    assert (there.accelerator.value.driver, there.gpus.value[0].capability) == ("535.1", "8.0")
    assert there.accelerator.source == "partition `p`: a test"
    assert (there.torch, there.python, there.target) == (here.torch, here.python, here.target)
    assert node.seen == "seen on n1, 2026-11-21 14:03 UTC"


def test_of_two_c_libraries_the_older_one_counts():
    new, old = make_env(platform="linux"), make_env(platform="linux-old")
    read = lambda env: read_elsewhere(document(env), name="`f`")  # noqa: E731
    assert on_machine(new, read(old)).libc == Fact(value=Libc(family="glibc", version=(2, 28)), source="`f`: a test")
    assert on_machine(old, read(new)).libc.value == Libc(family="glibc", version=(2, 28))


@pytest.mark.parametrize("other", ["linux-arm", "alpine", "mac"])
def test_a_machine_of_another_kind_is_refused(other):
    with pytest.raises(NoCompatibleBuildError) as caught:
        on_machine(make_env(), read_elsewhere(document(make_env(platform=other)), name="partition `p`"))
    assert caught.value.code == "other-machine"
    assert "cannot run on partition `p`" in caught.value.message


def test_what_is_sent_looks_by_itself_with_no_mimctl_there(tmp_path):
    """The interpreter there has nothing installed, and another `mimctl` lies in the folder that it starts in."""
    (tmp_path / "mimctl.py").write_text("raise SystemExit('the wrong one')\n")
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    environ = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "0", "MIMCTL_DRIVER": "999.1", "SLURM_JOB_ID": "7"}
    said = subprocess.run(
        [bare / "bin/python", "-P", "-c", OPEN], input=pack(), env=environ, cwd=tmp_path, capture_output=True
    )
    assert said.returncode == 0, said.stderr.decode()
    line = next(each for each in said.stdout.decode().splitlines() if each.startswith(MARK))
    found = read_elsewhere(line.removeprefix(MARK), name="n")
    assert found.python == str(bare / "bin/python")
    assert found.accelerator.driver != "999.1", "what the sender was told of its own machine is no fact about this one"
    assert "job" not in str(found.facts["slurm"].value)
    assert found.facts["visible_gpus"].value is None
    assert found.facts["torch"].value is None
    assert found.platform == Platform(system="linux", machine=found.platform.machine)


def test_the_parcel_is_small_and_holds_source_alone(tmp_path):
    (tmp_path / "parcel.zip").write_bytes(pack())
    with zipfile.ZipFile(tmp_path / "parcel.zip") as archive:
        names = archive.namelist()
    assert all(name.endswith(".py") for name in names)
    assert {name.split("/")[1] for name in names if name.count("/") > 1} == {"environment"}
    assert len(pack()) < 100_000
