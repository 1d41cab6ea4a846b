"""`mimctl doctor`, and the ops in `mimctl env`, on real environments: interpreters are asked, libraries loaded."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_toolbox import ROOT, install_toolbox

OPS_SOURCE = ROOT / "plugins" / "ops" / "mimctl_ops"
CPU = {"backend": "cpu", "min_torch": "2.10", "max_torch": None, "toolkit": None, "min_driver": None}
MISSING_SYMBOL = "extern int torch_from_the_future(); int here = torch_from_the_future();"
PLATFORM = "manylinux_2_17_x86_64"


class Target:
    """A virtual environment with what a test puts into it; torch, where wanted, is the one beside the tests."""

    def __init__(self, folder: Path, *, torch: bool) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        self.site = next(folder.glob("lib/python*/site-packages"))
        spec = importlib.util.find_spec("torch") if torch else None
        if spec is not None and spec.origin is not None:
            (self.site / "zz_outer.pth").write_text(f"{Path(spec.origin).parents[1]}\n")

    def install(self, name: str, version: str = "0.1.0", metadata: str = "") -> Path:
        """Put a distribution's `.dist-info` there."""
        info = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
        return info

    def install_ops(self, build: dict[str, object] | None = None, *, version: str = "0.1.0+cpu") -> Path:
        """Put mimctl-ops there, with its own Python code and the given `build.json`."""
        self.install("mimctl-ops", version)
        package = self.site / "mimctl_ops"
        shutil.copytree(OPS_SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
        facts = json.loads((package / "build.json").read_text())
        (package / "build.json").write_text(json.dumps({**facts, **(build or {})}))
        return package


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "venv", torch=True)


@pytest.fixture
def bare(tmp_path: Path) -> Target:
    return Target(tmp_path / "venv", torch=False)


@pytest.fixture
def doctor(mimctl, environment):
    """Run `mimctl doctor` on a target; only mimctl itself comes from outside."""

    def run(target: Target, *arguments, env=None, **kwargs):
        alone = {"MIMCTL_PYTHON": str(target.python), "PYTHONPATH": str(ROOT), "MIMCTL_DRIVER": "none"}
        return mimctl("doctor", *arguments, env={**alone, **(env or {})}, **kwargs)

    return run


@pytest.fixture
def checks(doctor):
    """Return exit code and checks by name."""

    def run(target: Target, *arguments, **kwargs):
        said = doctor(target, "--json", *arguments, **kwargs)
        assert said.err == ""
        document = json.loads(said.out)
        assert document["ok"] == (said.code == 0)
        return said.code, {each["name"]: each for each in document["checks"]}

    return run


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return an index with a compiled and a pure build of mimctl-ops."""
    files = [
        index_entry("0.1.0+cpu", f"py3-none-{PLATFORM}", CPU),
        index_entry("0.1.0", "py3-none-any", {**CPU, "backend": "python", "min_torch": "2.6"}),
    ]
    folder = tmp_path / "index"
    folder.mkdir()
    document = {"schema_version": 1, "generator": "test", "files": files, "torch": {"verified": "2.13.0"}}
    (folder / "index.json").write_text(json.dumps(document))
    return folder


def index_entry(version: str, tag: str, build: dict[str, object]) -> dict[str, object]:
    name = f"mimctl_ops-{version}-{tag}.whl"
    address = f"files/{name}".replace("+", "%2B")
    facts = {"project": "mimctl-ops", "filename": name, "url": address, "sha256": "0" * 64, "version": version}
    return {**facts, "tags": [tag], "build": build}


def break_library(package: Path, source: str = MISSING_SYMBOL) -> None:
    """Compile a library that links and cannot be loaded."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    argv = [compiler, "-shared", "-fPIC", "-o", str(package / "_mimctl_ops.so"), "-x", "c++", "-"]
    subprocess.run(argv, input=source, text=True, check=True)


def test_a_bare_environment_has_warnings_and_no_failure(doctor, bare):
    said = doctor(bare)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith("ok    target  python 3.")
    assert any(line.startswith("warn  torch   torch is not installed") for line in lines)
    assert "      hint: a toolbox brings the build for this machine: `mimctl install det`" in lines
    assert "      read more: `mimctl explain torch-missing`" in lines
    assert lines[-1] == "2 ok, 2 warnings"


def test_the_pure_operators_are_asked_and_serve(checks, target):
    target.install_ops(version="0.1.0")
    code, found = checks(target)
    assert (code, found["ops"]["status"]) == (0, "ok")
    assert found["ops"]["summary"] == "pure PyTorch, mimctl-ops 0.1.0, python build"


def test_a_library_with_a_missing_symbol_fails_and_the_wheel_that_fits_is_named(checks, target, index):
    break_library(target.install_ops({**CPU, "backend": "cu13", "toolkit": "13.0"}, version="0.1.0+cu13"))
    code, found = checks(target, "--index", index)
    ops = found["ops"]
    assert (code, ops["status"], ops["code"]) == (1, "fail", "ops-cannot-load")
    assert ops["summary"] == "mimctl-ops 0.1.0+cu13, CUDA 13.0 cannot be loaded"
    assert "`_Z21torch_from_the_futurev`" in ops["causes"][0]
    assert ops["hints"][0] == "0.1.0+cpu fits: `mimctl install mimctl-ops`"


def test_a_damaged_library_of_the_right_build_is_installed_anew(checks, target, index):
    package = target.install_ops(CPU)
    (package / "_mimctl_ops.so").write_bytes(b"no library at all")
    code, found = checks(target, "--index", index)
    assert code == 1
    assert "--force-reinstall --no-deps" in found["ops"]["hints"][0]
    assert f"{index}/files/mimctl_ops-0.1.0+cpu-py3-none-{PLATFORM}.whl" in found["ops"]["hints"][0]


def test_without_an_index_the_operators_themselves_say_what_would_fit(doctor, target):
    break_library(target.install_ops(CPU))
    said = doctor(target, "--offline")
    assert said.code == 1
    assert "fail  ops" in said.out
    assert "hint: install mimctl_ops-0.1.0+" in said.out
    assert said.out.splitlines()[-1].endswith("1 failed")


def test_the_variable_that_asks_for_pure_pytorch_is_obeyed(checks, target):
    break_library(target.install_ops(CPU))
    code, found = checks(target, env={"MIMCTL_OPS": "python"})
    assert (code, found["ops"]["status"]) == (0, "ok")
    assert "as MIMCTL_OPS asks" in found["ops"]["summary"]


def test_a_compiled_build_whose_library_is_gone_is_no_silent_pure_pytorch(checks, target):
    target.install_ops(CPU)
    code, found = checks(target)
    assert (code, found["ops"]["status"]) == (1, "fail")


def test_a_library_that_ends_the_process_is_survived(checks, target):
    source = "#include <csignal>\nstatic int end = std::raise(SIGSEGV);"
    break_library(target.install_ops(CPU), source)
    code, found = checks(target)
    assert (code, found["ops"]["status"]) == (1, "fail")
    assert found["ops"]["causes"][0] == "loading it ended the process with SIGSEGV"


def test_the_current_folder_is_told_and_not_run(checks, target, tmp_path):
    target.install_ops(version="0.1.0")
    folder = tmp_path / "checkout"
    (folder / "mimctl_ops").mkdir(parents=True)
    (folder / "mimctl_ops" / "__init__.py").write_text("raise SystemExit(9)\n")
    (folder / "torch.py").write_text("raise SystemExit(9)\n")
    code, found = checks(target, cwd=folder)
    assert (code, found["ops"]["status"]) == (0, "ok")
    causes = "\n".join(found["hidden-packages"]["causes"])
    assert f"`mimctl_ops`: {folder / 'mimctl_ops'} comes before" in causes
    assert f"`torch`: {folder / 'torch.py'} comes before" in causes


def test_a_folder_of_the_search_path_that_hides_the_installed_operators_is_told(checks, target):
    target.install_ops(version="0.1.0")
    path = f"{ROOT}:{OPS_SOURCE.parent}"
    _, found = checks(target, env={"PYTHONPATH": path})
    assert found["hidden-packages"]["causes"][0].startswith(f"`mimctl_ops`: {OPS_SOURCE} comes before {target.site}")


def test_a_newer_torch_than_the_index_knows_is_a_warning(checks, bare, index):
    (bare.site / "torch").mkdir()
    (bare.site / "torch" / "version.py").write_text("__version__ = '99.0.0a0+git1234'\n")
    code, found = checks(bare, "--index", index)
    assert (code, found["verified"]["status"]) == (0, "warn")
    assert found["verified"]["summary"].startswith("torch 99.0.0a0+git1234 is newer than 2.13.0, ")


def test_an_unreachable_index_takes_seconds_at_most_and_is_a_warning(checks, bare):
    code, found = checks(bare, "--index", "http://127.0.0.1:9/mimctl")
    assert (code, found["index"]["status"]) == (0, "warn")
    assert "verified" not in found


def test_broken_toolboxes_missing_requirements_and_two_opencvs(checks, bare):
    install_toolbox(bare.site, "toy")
    metadata = bare.site / "mimctl_toy-0.1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "Requires-Dist: numpy>=99\nRequires-Dist: mimctl-ops==0.1.0\n")
    install_toolbox(bare.site, "art", manifest="name = [")
    bare.install("numpy", "2.0")
    bare.install("opencv-python", "4.10")
    bare.install("opencv-python-headless", "4.10")
    code, found = checks(bare)
    assert code == 1
    assert found["toolboxes"]["causes"][0].startswith("art: manifest: not valid TOML")
    assert found["requirements"]["causes"] == [
        "mimctl-ops==0.1.0 (for mimctl-toy): not installed",
        "numpy>=99 (for mimctl-toy): found 2.0",
    ]
    assert (found["opencv"]["status"], found["torch"]["status"], found["ops"]["status"]) == ("warn", "fail", "warn")


def test_a_folder_with_an_impossible_name_is_survived(checks, bare):
    (bare.site / "mimctl_$-1.0.dist-info").mkdir()
    code, found = checks(bare)
    assert (code, found["requirements"]["status"]) == (1, "fail")


def test_a_killed_install_is_told_by_every_command_and_fixed(doctor, checks, mimctl, bare):
    kill_in_the_middle(bare)
    before = sorted(bare.site.iterdir())
    (bare.site / "half.py").write_text("")
    code, found = checks(bare)
    assert (code, found["killed-install"]["status"]) == (1, "fail")
    assert found["killed-install"]["causes"][0].startswith("`install det` by process ")
    assert found["killed-install"]["hints"] == ["bring the environment back to what it was: `mimctl doctor --fix`"]
    listed = mimctl("list", "--python", bare.python)
    note = "note: an installation was killed half-way; `mimctl doctor --fix` brings the environment back"
    assert (listed.code, note in listed.err.splitlines()) == (0, True)
    refused = mimctl("uninstall", "det", "--python", bare.python)
    assert (refused.code, "error[killed-install]" in refused.err) == (1, True)
    assert f"`mimctl doctor --fix --python {bare.python}`" in refused.err
    fixed = doctor(bare, "--fix")
    assert (fixed.code, fixed.out.splitlines()[0].split(" by ")[0]) == (0, "undone: `install det`")
    assert sorted(bare.site.iterdir()) == before
    again = doctor(bare, "--fix", "--json")
    assert (again.code, again.err, json.loads(again.out)["fixed"]) == (0, "", None)
    assert "note:" not in mimctl("list", "--python", bare.python).err.replace("note: target", "")


def kill_in_the_middle(target: Target) -> None:
    """Begin a change of an environment in another process, and kill that."""
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from mimctl.environment.detect import detect\nfrom mimctl.installer.transaction.exclusive import only_one\n"
        "from mimctl.installer.transaction.change import undone_on_failure\n"
        "env = detect(Path(sys.argv[1]))\n"
        "with only_one(env, print), undone_on_failure(env, what='install det'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, target.python], cwd=ROOT)
    assert killed.returncode == -9


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("#!/bin/sh\necho no >&2\nexit 3\n", "python-unusable"),
        ('#!/bin/sh\necho \'{"implementation": "cpython", "version": "3.9.2"}\'\n', "python-too-old"),
    ],
)
def test_an_interpreter_that_cannot_be_used_is_one_failed_check(mimctl, tmp_path, script, code):
    fake = tmp_path / "python"
    fake.write_text(script)
    fake.chmod(0o755)
    said = mimctl("doctor", "--json", "--python", fake)
    document = json.loads(said.out)
    assert (said.code, document["target"], len(document["checks"])) == (1, None, 1)
    assert (document["checks"][0]["name"], document["checks"][0]["code"]) == ("target", code)


def test_quiet_is_what_is_not_well(doctor, bare):
    said = doctor(bare, "-q")
    assert [line.partition(":")[0] for line in said.out.splitlines()] == ["warn torch", "warn index"]


def test_env_names_the_operators_and_what_would_serve(mimctl, bare):
    bare.install_ops({**CPU, "backend": "cu13", "toolkit": "13.0"}, version="0.1.0+cu13")
    (bare.site / "mimctl_ops" / "_mimctl_ops.so").touch()
    (bare.site / "torch").mkdir()
    (bare.site / "torch" / "version.py").write_text("__version__ = '2.9.1+cu130'\ncuda = '13.0'\n")
    env = {"MIMCTL_PYTHON": str(bare.python), "MIMCTL_DRIVER": "none"}
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in mimctl("env", env=env).out.splitlines()}
    build = bare.site / "mimctl_ops" / "build.json"
    assert lines["ops"] == f"0.1.0+cu13 (cu13 build, CUDA 13.0, torch >= 2.10) {build}"
    assert lines["ops_tier"] == "failed needs torch >= 2.10, found 2.9.1+cu130"
    facts = json.loads(mimctl("env", "--json", env={**env, "MIMCTL_OPS": "python"}).out)["facts"]
    assert facts["ops"]["value"]["toolkit"] == "13.0"
    assert facts["ops_tier"] == {"value": "python", "source": "MIMCTL_OPS"}
