"""Resolutions of several environments and `pylock.toml`: what is written, what is read back, what is refused."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.pylock import Pylock
from tiny_wheels import write_wheel

from mimctl.errors import MimctlError, UsageError
from mimctl.index.model import Build, IndexFile
from mimctl.installer.locking.cells import Cell, cell_for, cell_of
from mimctl.installer.locking.lockfile import Asked, Contents, write_lock
from mimctl.installer.locking.markers import active_groups, marker_for
from mimctl.installer.locking.reading import Lock, read_lock
from mimctl.installer.locking.toml_text import to_toml
from mimctl.resolution.requirements import marker_environment

CU13, CPU, ARM = "linux-x86_64-cu13", "linux-x86_64-cpu", "linux-aarch64-cpu"
PLACES = (CU13, CPU, ARM, "linux-aarch64-cu13", "macos-arm64-mps", "linux-x86_64-cu12-glibc2.31")
EVERYWHERE = [cell_for(words, python) for words in PLACES for python in ("3.11", "3.12", "3.13")]
ASKED = Asked(requests=("det",), indexes=("https://index.example",), version="0.1.0")


def a_file(name: str, *, sha256: str = "", url: str = "", build: Build | None = None) -> IndexFile:
    """Return a wheel from its file name."""
    project, version, python, abi, platforms = name.removesuffix(".whl").split("-")
    return IndexFile(
        project=project.replace("_", "-"),
        filename=name,
        url=url or f"https://index.example/files/{name}",
        sha256=sha256 or hashlib.sha256(name.encode()).hexdigest(),
        size=Path(url).stat().st_size if url.startswith("/") else 10,
        version=version,
        tags=tuple(f"{python}-{abi}-{each}" for each in platforms.split(".")),
        build=build,
    )


def contents(**wheels: Sequence[str]) -> Contents:
    """Return what `cu13`, `cpu` and `arm` get, all with Python 3.11."""
    cells = {"cu13": cell_for(CU13, "3.11"), "cpu": cell_for(CPU, "3.11"), "arm": cell_for(ARM, "3.11")}
    found = {}
    for place, names in wheels.items():
        files = [a_file(f"{name}.whl") for name in names]
        found[cells[place]] = {file.project: file for file in files}
    return found


def saved(text: str, folder: Path) -> Lock:
    """Write and read a lock."""
    path = folder / "pylock.toml"
    path.write_text(text, encoding="utf-8")
    return read_lock(path)


@given(st.data())
def test_a_marker_holds_in_its_environments_and_in_no_other_whatever_group_is_on(data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.sampled_from(EVERYWHERE), min_size=1, unique=True))
    some = data.draw(st.lists(st.sampled_from(cells), min_size=1, unique=True))
    marker = marker_for(some, cells)
    for cell in cells:
        for group in active_groups(cell, cells) or {"none"}:
            values = {
                **marker_environment(cell.environment),
                "extras": frozenset(),
                "dependency_groups": frozenset({group}),
            }
            holds = marker is None or Marker(marker).evaluate(values, context="lock_file")
            assert holds == (cell in some)


@given(
    st.dictionaries(
        st.text(), st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.lists(st.text()))
    )
)
def test_toml_that_is_written_reads_as_the_same_data(data: dict[str, object]) -> None:
    document = {"first": data, "packages": [{"name": "a", "inline": [data], "tool": {"x": data}}, {"name": "b"}]}
    assert tomllib.loads(to_toml(document)) == document


def test_a_lock_of_several_environments_gives_each_its_wheels_back(tmp_path: Path) -> None:
    everything = contents(
        cu13=["torch-2.13.0+cu130-cp311-cp311-manylinux_2_28_x86_64", "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64"],
        cpu=["torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64", "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64"],
        arm=["torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_aarch64", "numpy-2.1.0-cp311-cp311-manylinux_2_17_aarch64"],
    )
    lock = saved(write_lock(everything, ASKED, folder=tmp_path), tmp_path)
    assert lock.asked == ASKED
    assert lock.cells == tuple(everything)
    for cell, files in everything.items():
        entries = lock.entries_for(cell.environment, lock.groups_of(cell))
        assert {name: entry.version for name, entry in entries.items()} == {n: f.version for n, f in files.items()}
        for name, file in files.items():
            assert file.filename in {each.filename for each in entries[name].files}


def test_the_text_of_a_lock(tmp_path: Path) -> None:
    wheel = "torch-2.13.0+{}-cp311-cp311-manylinux_2_28_x86_64"
    text = write_lock(contents(cu13=[wheel.format("cu130")], cpu=[wheel.format("cpu")]), ASKED, folder=tmp_path)
    assert text.splitlines()[:9] == [
        'lock-version = "1.0"',
        "environments = [\"sys_platform == 'linux' and platform_machine == 'x86_64' and python_version == '3.11'\"]",
        'requires-python = ">=3.11"',
        'dependency-groups = ["cpu", "cu13"]',
        'default-groups = ["default"]',
        'created-by = "mimctl"',
        "",
        "[[packages]]",
        'name = "torch"',
    ]
    assert "marker = \"'cu13' in dependency_groups or 'default' in dependency_groups\"" in text
    assert "marker = \"'cpu' in dependency_groups\"" in text


def test_one_environment_needs_neither_markers_nor_groups(tmp_path: Path) -> None:
    text = write_lock(contents(cpu=["numpy-2.1.0-py3-none-any"]), ASKED, folder=tmp_path)
    assert "marker" not in text.replace("environments", "")
    assert "dependency-groups" not in text


def test_the_first_environment_of_a_platform_is_what_an_installer_takes_by_itself(tmp_path: Path) -> None:
    wheel = "torch-2.13.0+{}-cp311-cp311-manylinux_2_28_x86_64"
    lock = saved(
        write_lock(contents(cpu=[wheel.format("cpu")], cu13=[wheel.format("cu130")]), ASKED, folder=tmp_path), tmp_path
    )
    env = lock.cells[0].environment
    assert lock.entries_for(env, lock.default_groups())["torch"].version == "2.13.0+cpu"


def test_two_wheels_of_one_name_become_two_entries(tmp_path: Path) -> None:
    name = "mimctl_ops-0.1.0-py3-none-manylinux_2_28_x86_64.whl"
    builds = {
        CU13: Build(backend="cu13", min_driver="580", archs=("9.0",)),
        CPU: Build(backend="cpu", min_torch="2.10"),
    }
    everything = {
        cell_for(words, "3.11"): {"mimctl-ops": a_file(name, sha256=digit * 64, build=builds[words])}
        for words, digit in ((CU13, "1"), (CPU, "2"))
    }
    lock = saved(write_lock(everything, ASKED, folder=tmp_path), tmp_path)
    for cell, files in everything.items():
        entry = lock.entries_for(cell.environment, lock.groups_of(cell))["mimctl-ops"]
        assert [(each.sha256, each.build) for each in entry.files] == [
            (files["mimctl-ops"].sha256, files["mimctl-ops"].build)
        ]


def test_a_wheel_that_tags_would_not_choose_gets_an_entry_of_its_own(tmp_path: Path) -> None:
    """The index of one environment has the pure wheel alone; the other's must not be taken there."""
    everything = contents(cu13=["a-1.0-py3-none-any"], cpu=["a-1.0-py3-none-manylinux_2_17_x86_64"])
    lock = saved(write_lock(everything, ASKED, folder=tmp_path), tmp_path)
    for cell, files in everything.items():
        entry = lock.entries_for(cell.environment, lock.groups_of(cell))["a"]
        assert [each.filename for each in entry.files] == [files["a"].filename]


def test_no_secret_of_an_address_gets_into_a_lock(tmp_path: Path) -> None:
    file = a_file(
        "a-1.0-py3-none-any.whl", url="https://user:hunter2@index.example/a-1.0-py3-none-any.whl?sig=hunter2#x"
    )
    text = write_lock({cell_for(CPU, "3.11"): {"a": file}}, ASKED, folder=tmp_path)
    assert "hunter2" not in text
    assert '"https://index.example/a-1.0-py3-none-any.whl"' in text


def test_a_wheel_of_a_folder_is_named_from_the_lock(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "site" / "files", "a-1.0-py3-none-any.whl")
    file = a_file(wheel.name, url=str(wheel), sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    text = write_lock({cell_for(CPU, "3.11"): {"a": file}}, ASKED, folder=tmp_path)
    assert 'path = "site/files/a-1.0-py3-none-any.whl"' in text
    assert saved(text, tmp_path).entries[0].files[0].url == str(wheel)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_pip_and_uv_install_the_default_environment_and_the_one_asked_for(installer: str, tmp_path: Path) -> None:
    files = {}
    for label in ("cu130", "cpu"):
        wheel = write_wheel(tmp_path / "site", f"torch-2.13.0+{label}-py3-none-any.whl")
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        files[label] = {"torch": a_file(wheel.name, url=str(wheel), sha256=sha256)}
    here = f"linux-{platform.machine()}"
    python = "{}.{}".format(*sys.version_info)
    cells = {"cu130": cell_for(f"{here}-cu13", python), "cpu": cell_for(f"{here}-cpu", python)}
    text = write_lock({cells[label]: files[label] for label in files}, ASKED, folder=tmp_path)
    (tmp_path / "pylock.toml").write_text(text, encoding="utf-8")
    for group, label in ((None, "cu130"), ("cpu", "cpu")):
        told = _would_install(installer, group, tmp_path)
        assert f"2.13.0+{label}" in told, told


def _would_install(installer: str, group: str | None, folder: Path) -> str:
    if installer == "pip":
        pip = [sys.executable, "-m", "pip", "--no-cache-dir"]
        what = ["--group", f"pylock.toml:{group}"] if group else ["-r", "pylock.toml"]
        argv = [*pip, "install", "--dry-run", "--ignore-installed", "--target", "there", *what]
    else:
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, "there"], cwd=folder, check=False)
        argv = [uv, "pip", "sync", "--dry-run", "--offline", "--python", "there/bin/python"]
        argv += [*(["--group", group] if group else []), "pylock.toml"]
    answer = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout + answer.stderr


AGAIN = f'''
[[packages]]
name = "a"
version = "1.0"
wheels = [{{url = "https://x/a-1.0-py3-none-any.whl", hashes = {{sha256 = "{"0" * 64}"}}}}]
'''
NO_BUILD = '[packages.tool.mimctl]\nbuild = {archs = "all"}'
HOSTILE = {
    "no toml": ("[[", "bad-lock"),
    "another version": (("1.0", "9.0"), "bad-lock"),
    "no hash": (('sha256 = "', 'md5 = "'), "bad-lock"),
    "short hash": (("ab" * 32, "ab"), "bad-lock"),
    "another project's wheel": (('name = "a-1.0-py3', 'name = "b-1.0-py3'), "bad-lock"),
    "another version's wheel": (('version = "1.0"', 'version = "2.0"'), "bad-lock"),
    "a path in the name": (('name = "a-1.0-py3', 'name = "../a-1.0-py3'), "bad-lock"),
    "an absolute path in the name": (('name = "a-1.0-py3', 'name = "/etc/a-1.0-py3'), "bad-lock"),
    "a file far away": (("https://index.example/files", "file:///etc"), "bad-lock"),
    "a file of another host": (("https://index.example/files", "file://host/etc"), "bad-lock"),
    "another scheme": (("https://index.example/files", "ftp://index.example"), "bad-lock"),
    "a path above": (('url = "https://index.example/files', 'path = "../../../../etc'), "bad-lock"),
    "no wheels": (("wheels = [", "sdist_wheels = ["), "bad-lock"),
    "twice": (("[tool.mimctl]", f"{AGAIN}\n[tool.mimctl]"), "bad-lock"),
    "an unknown environment": ((CPU, "moon-x86_64-cpu"), "bad-lock"),
    "requests that are none": (('requests = ["det"]', "requests = 3"), "bad-lock"),
    "a build that is none": (("[tool.mimctl]", f"{NO_BUILD}\n[tool.mimctl]"), "bad-lock"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_lock_is_refused(case: str, tmp_path: Path) -> None:
    change, code = HOSTILE[case]
    file = a_file("a-1.0-py3-none-any.whl", sha256="ab" * 32)
    text = write_lock({cell_for(CPU, "3.11"): {"a": file}}, ASKED, folder=tmp_path)
    changed = change if isinstance(change, str) else text.replace(*change)
    assert changed != text
    with pytest.raises(MimctlError) as caught:
        lock = saved(changed, tmp_path)
        lock.entries_for(cell_for(CPU, "3.11").environment, lock.default_groups())
    assert caught.value.code == code


def test_a_package_without_a_wheel_is_refused(tmp_path: Path) -> None:
    text = write_lock({cell_for(CPU, "3.11"): {"a": a_file("a-1.0-py3-none-any.whl")}}, ASKED, folder=tmp_path)
    head, tail = text.split("wheels = [")
    sdist = 'sdist = {url = "https://x/a-1.0.tar.gz", hashes = {sha256 = "' + "0" * 64 + '"}}\n'
    with pytest.raises(MimctlError) as caught:
        saved(head + sdist + tail.partition("]\n")[2], tmp_path)
    assert caught.value.code == "only-sdist"


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    write_wheel(tmp_path / "outside", "a-1.0-py3-none-any.whl")
    home = tmp_path / "project"
    home.mkdir()
    (home / "files").symlink_to(tmp_path / "outside")
    file = a_file("a-1.0-py3-none-any.whl", url=str(home / "files" / "a-1.0-py3-none-any.whl"))
    text = write_lock({cell_for(CPU, "3.11"): {"a": file}}, ASKED, folder=home)
    with pytest.raises(MimctlError, match="outside its folder"):
        saved(text, home)
    (home / "pylock.toml").write_text(text, encoding="utf-8")
    assert read_lock(home / "pylock.toml", folders=[tmp_path / "outside"]).entries


def test_an_environment_that_is_not_covered_is_told_what_is(tmp_path: Path) -> None:
    lock = saved(write_lock(contents(cpu=["a-1.0-py3-none-any"]), ASKED, folder=tmp_path), tmp_path)
    with pytest.raises(MimctlError) as caught:
        lock.entries_for(cell_for(ARM, "3.12").environment, ())
    assert caught.value.code == "not-locked"
    assert f"it covers {CPU}, Python 3.11" in caught.value.causes


def test_a_lock_of_another_tool_is_read(tmp_path: Path) -> None:
    text = write_lock(contents(cpu=["a-1.0-py3-none-any"]), ASKED, folder=tmp_path)
    lock = saved(text.partition("[tool.mimctl]")[0], tmp_path)
    assert lock.asked is None
    assert list(lock.entries_for(cell_for(CPU, "3.11").environment, ())) == ["a"]


def test_what_is_written_is_a_lock_to_packaging_too(tmp_path: Path) -> None:
    text = write_lock(contents(cpu=["a-1.0-py3-none-any"]), ASKED, folder=tmp_path)
    document = Pylock.from_dict(tomllib.loads(text))
    cell = cell_for(CPU, "3.11")
    chosen = list(document.select(environment=marker_environment(cell.environment)))  # type: ignore[arg-type]
    assert [package.name for package, _ in chosen] == ["a"]


@pytest.mark.parametrize(
    "words", ["linux", "linux-x86_64", "plan9-x86_64-cpu", "linux-x86_64-cu", "linux-x86_64-cpu-fast"]
)
def test_words_that_name_no_environment(words: str) -> None:
    with pytest.raises(UsageError):
        cell_for(words, "3.11")


@pytest.mark.parametrize("python", ["3", "3.9", "2.7", "python3.11", "3.11.x"])
def test_versions_that_are_no_python_of_ours(python: str) -> None:
    with pytest.raises(UsageError):
        cell_for(CPU, python)


def test_words_say_what_wheels_are_judged_by() -> None:
    env = cell_for("linux-x86_64-cu13-glibc2.31-driver590.44-sm8.6-sm9.0", "3.12").environment
    assert str(env.libc.value) == "glibc 2.31"
    assert env.accelerator.value.driver == "590.44"
    assert [gpu.capability for gpu in env.gpus.value] == ["8.6", "9.0"]
    assert env.python.value == "3.12.0"
    assert cell_for("linux-x86_64-cu13", "3.12.4").environment.accelerator.value.driver == "580"


def test_a_detected_environment_keeps_its_facts_in_words() -> None:
    from made_environment import make_env

    cell = cell_of(make_env(driver="590.44.01", gpus=("9.0", "8.6", "9.0")), "cu13")
    assert cell.words == "linux-x86_64-cu13-glibc2.36-driver590.44.01-sm8.6-sm9.0"
    assert cell.python == "3.11"
    assert isinstance(cell, Cell)


def test_a_packaging_that_knows_no_lock_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_lock(contents(cpu=["a-1.0-py3-none-any"]), ASKED, folder=tmp_path)
    monkeypatch.setitem(sys.modules, "packaging.pylock", None)
    for what in (
        lambda: saved(text, tmp_path),
        lambda: write_lock(contents(cpu=["a-1.0-py3-none-any"]), ASKED, folder=tmp_path),
    ):
        with pytest.raises(MimctlError) as caught:
            what()
        assert caught.value.code == "packaging-too-old"
        assert "packaging>=26" in caught.value.hints[0]
