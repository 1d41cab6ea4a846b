"""What `mimctl sync` plans: the right environment of a lock, what stays, what is refused, what `--exact` removes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_environment import make_env
from resolution.made_catalog import MadeInstalled, make_installed

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, UsageError
from mimctl.index.model import Build, IndexFile
from mimctl.installer.locking.cells import cell_for
from mimctl.installer.locking.lockfile import Asked, write_lock
from mimctl.installer.locking.reading import Lock, read_lock
from mimctl.installer.locking.sync import plan_sync
from mimctl.installer.locking.sync_place import choose_cell
from mimctl.installer.model import InstallPlan
from mimctl.resolution.model import Present

CU13, CU12, CPU = "linux-x86_64-cu13", "linux-x86_64-cu12", "linux-x86_64-cpu"
X86 = "manylinux_2_28_x86_64"
TORCHES = {CU13: "2.13.0+cu130", CU12: "2.13.0+cu126", CPU: "2.13.0+cpu"}
BUILDS = {
    CU13: Build(backend="cu13", min_torch="2.10", min_driver="580", archs=("9.0",)),
    CU12: Build(backend="cu12", min_torch="2.10", min_driver="525.60.13", archs=("9.0",)),
    CPU: Build(backend="cpu", min_torch="2.10"),
}


def wheel(name: str, version: str, tag: str = "py3-none-any", build: Build | None = None) -> IndexFile:
    """Return a wheel of an index."""
    filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    return IndexFile(
        project=name,
        filename=filename,
        url=f"https://index.example/{filename}",
        sha256=hashlib.sha256(filename.encode()).hexdigest(),
        size=10,
        version=version,
        tags=(tag,),
        build=build,
    )


def make_lock(folder: Path, cells: Sequence[str] = (CU13, CU12, CPU), *more: IndexFile) -> Lock:
    """Return the lock of a toolbox for several accelerators."""
    contents = {}
    for words in cells:
        files = [
            wheel("mimctl-det", "0.1.0"),
            wheel("mimctl-ops", f"0.1.0+{BUILDS[words].backend}", f"py3-none-{X86}", BUILDS[words]),
            wheel("torch", TORCHES[words], f"cp311-cp311-{X86}"),
            wheel("numpy", "2.0"),
            *more,
        ]
        contents[cell_for(words, "3.11")] = {file.project: file for file in files}
    text = write_lock(contents, Asked(requests=("det",)), folder=folder)
    (folder / "pylock.toml").write_text(text, encoding="utf-8")
    return read_lock(folder / "pylock.toml")


def words(plan: InstallPlan) -> list[str]:
    return [f"{each.action} {each.name} {each.version or each.previous}" for each in plan.changes]


def bare(**facts: object) -> Environment:
    return make_env(torch=None, **facts)  # type: ignore[arg-type]


def refused(*args: object, **kwargs: object) -> MimctlError:
    with pytest.raises(MimctlError) as caught:
        plan_sync(*args, **kwargs)  # type: ignore[arg-type]
    return caught.value


MACHINES = {
    "no GPU": (bare(), CPU),
    "new driver": (bare(driver="590.44", gpus=("9.0",)), CU13),
    "older driver": (bare(driver="550.54", gpus=("9.0",)), CU12),
    "too old a driver": (bare(driver="450.10", gpus=("9.0",)), CPU),
    "CPU torch on a GPU box": (make_env(torch="2.13.0+cpu", driver="590.44", gpus=("9.0",)), CPU),
    "CUDA torch without a driver": (make_env(torch="2.13.0+cu130"), CU13),
    "the plain torch of the public index": (make_env(torch="2.13.0", driver="590.44", gpus=("9.0",)), CU13),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_gets_what_it_runs(machine: str, tmp_path: Path) -> None:
    env, expected = MACHINES[machine]
    cell = choose_cell(make_lock(tmp_path), env)
    assert cell is not None
    assert cell.words == expected


def test_one_may_say_which(tmp_path: Path) -> None:
    lock = make_lock(tmp_path)
    assert words(plan_sync(lock, bare(), MadeInstalled(), words="cu12"))[:2] == [
        "install mimctl-det 0.1.0",
        "install mimctl-ops 0.1.0+cu12",
    ]
    with pytest.raises(UsageError, match="has no environment `rocm`"):
        choose_cell(lock, bare(), "rocm")


def test_an_older_c_library_gets_the_build_that_it_runs(tmp_path: Path) -> None:
    lock = make_lock(tmp_path, [CPU])
    contents = {
        cell_for(f"{CPU}-{libc}", "3.11"): {"a": wheel("a", version)}
        for libc, version in (("glibc2.31", "2"), ("glibc2.28", "1"))
    }
    text = write_lock(contents, Asked(), folder=tmp_path)
    lock.path.write_text(text, encoding="utf-8")
    again = read_lock(lock.path)
    assert words(plan_sync(again, bare(), MadeInstalled())) == ["install a 2"]
    assert words(plan_sync(again, bare(platform="linux-old"), MadeInstalled())) == ["install a 1"]


def test_everything_comes_into_an_empty_environment(tmp_path: Path) -> None:
    plan = plan_sync(make_lock(tmp_path), bare(), MadeInstalled())
    assert words(plan) == [
        "install mimctl-det 0.1.0",
        "install mimctl-ops 0.1.0+cpu",
        "install torch 2.13.0+cpu",
        "install numpy 2.0",
    ]
    assert {each.sha256 for each in plan.changes} == {each.sha256 for each in plan.wheels}
    assert {each.reason for each in plan.changes} == {"pylock.toml has it"}


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    there = make_installed(torch="2.13.0+cpu", numpy="2.0", mimctl_det="0.1.0", mimctl_ops="0.1.0+cpu", other="1")
    plan = plan_sync(make_lock(tmp_path), make_env(), there)
    assert plan.nothing_to_do


def test_what_differs_is_brought_to_the_lock(tmp_path: Path) -> None:
    there = make_installed(torch="2.13.0+cpu", numpy="2.1", mimctl_det="0.0.9", mimctl_ops="0.1.0+cu13")
    plan = plan_sync(make_lock(tmp_path), make_env(), there)
    assert words(plan) == ["upgrade mimctl-det 0.1.0", "replace mimctl-ops 0.1.0+cpu", "downgrade numpy 2.0"]


def test_nothing_is_removed_unless_that_is_asked_for(tmp_path: Path) -> None:
    there = make_installed(
        torch=("2.13.0+cpu", "sympy"), sympy="1.13", numpy="2.0", mimctl_det="0.1.0", mimctl_ops="0.1.0+cpu",
        mimctl=("0.1.0", "click"), click="8.1", pip="26", other="1",
    )  # fmt: skip
    lock = make_lock(tmp_path)
    assert words(plan_sync(lock, make_env(), there)) == []
    assert words(plan_sync(lock, make_env(), there, is_exact=True)) == ["remove other 1"]


@pytest.mark.parametrize("torch", ["2.12.0+cpu", "2.14.0a0+git1234", "2.13.0+rocm6.4"])
def test_another_torch_is_refused_with_what_to_type(torch: str, tmp_path: Path) -> None:
    error = refused(make_lock(tmp_path), make_env(torch=torch), make_installed(torch=torch))
    assert error.code == "torch-locked"
    assert f"mimctl lock --torch {torch}" in error.hints[1]


def test_another_torchvision_is_refused(tmp_path: Path) -> None:
    lock = make_lock(tmp_path, [CPU], wheel("torchvision", "0.28.0+cpu"))
    error = refused(lock, make_env(), make_installed(torch="2.13.0+cpu", torchvision="0.27.0"))
    assert error.code == "torch-locked"
    assert "torchvision 0.28.0+cpu, 0.27.0 is installed" in error.message


def test_the_same_version_from_another_file_is_refused(tmp_path: Path) -> None:
    there = MadeInstalled([Present(name="mimctl-det", version="0.1.0", sha256="0" * 64)])
    error = refused(make_lock(tmp_path), make_env(), there)
    assert error.code == "hash-changed"
    assert any("0" * 64 in cause for cause in error.causes)


def test_what_was_installed_from_source_in_that_version_stays(tmp_path: Path) -> None:
    there = MadeInstalled([Present(name="mimctl-det", version="0.1.0", is_from_source=True)])
    assert not any("mimctl-det" in each for each in words(plan_sync(make_lock(tmp_path), make_env(), there)))


def test_a_build_that_this_machine_does_not_run_is_refused(tmp_path: Path) -> None:
    lock = make_lock(tmp_path, [CU13])
    error = refused(lock, bare(driver="550.54", gpus=("9.0",)), MadeInstalled())
    assert error.exit_code == 3
    assert any("driver" in cause and "550.54" in cause for cause in error.causes)


def test_another_machine_is_refused_with_what_is_covered(tmp_path: Path) -> None:
    lock = make_lock(tmp_path)
    for env in (bare(platform="linux-arm"), bare(python="3.12.1"), bare(platform="mac")):
        error = refused(lock, env, MadeInstalled())
        assert error.code == "not-locked"
        assert f"it covers {CPU}, Python 3.11" in error.causes


def test_a_second_opencv_is_left_out(tmp_path: Path) -> None:
    lock = make_lock(tmp_path, [CPU], wheel("opencv-python-headless", "4.11"))
    there = make_installed(torch="2.13.0+cpu", opencv_python="4.10")
    plan = plan_sync(lock, make_env(cv2=True), there)
    assert not any("opencv" in each for each in words(plan))
    assert plan.notes == ("opencv-python-headless is left out: opencv-python is there and brings the same module",)


def test_a_lock_of_another_tool_gives_what_any_installer_takes(tmp_path: Path) -> None:
    lock = make_lock(tmp_path)
    lock.path.write_text(lock.text.partition("[tool.mimctl]")[0], encoding="utf-8")
    plan = plan_sync(read_lock(lock.path), bare(driver="590.44", gpus=("9.0",)), MadeInstalled())
    assert "install torch 2.13.0+cu130" in words(plan)


def test_a_withdrawn_wheel_that_is_locked_is_installed(tmp_path: Path) -> None:
    lock = make_lock(tmp_path)
    files = tuple(replace(file, yanked="broken") for file in lock.entries[0].files)
    changed = replace(lock, entries=(replace(lock.entries[0], files=files), *lock.entries[1:]))
    assert "install mimctl-det 0.1.0" in words(plan_sync(changed, bare(), MadeInstalled()))
