"""`mimctl lock` and `mimctl sync` on real environments: pip and uv, tiny wheels, two indexes over loopback HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_wheels import write_wheel

from mimctl import api
from mimctl import settings as settings_module
from mimctl.environment.detect import detect
from mimctl.errors import MimctlError
from mimctl.installer.locking.requests import LockOptions
from mimctl.settings import Settings

EVERYTHING = {
    "mimctl": "0.1.0",
    "mimctl-det": "0.1.0",
    "mimctl-ops": "0.1.0",
    "numpy": "2.1.0",
    "opencv-python-headless": "4.10",
    "pillow": "11.0",
    "torch": "2.13.0+cpu",
}


@pytest.fixture
def settings(site: Any, public: Any, venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Work on a fresh environment with both indexes, in a folder of one's own."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return load(venv, site.url, tmp_path)


def load(venv: Path, index: str, tmp_path: Path, **more: object) -> Settings:
    flags = {
        "python": str(venv / "bin" / "python"),
        "index": (index,),
        "torch_index": "http://127.0.0.1:9/whl",
        "http_retries": 0,
        **more,
    }
    environ = {"MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}
    return settings_module.load(flags, environ=environ)


def there(venv: Path) -> dict[str, str]:
    """Return what is installed, without installers."""
    found = detect(venv).distributions.values()
    return {each.name: each.version for each in found if each.name not in ("pip", "setuptools")}


def refused(what: Callable[..., object], *args: object, **kwargs: object) -> MimctlError:
    with pytest.raises(MimctlError) as caught:
        what(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_what_is_locked_is_what_sync_installs(
    installer: str, settings: Settings, site: Any, venv: Path, tmp_path: Path
) -> None:
    settings = load(venv, site.url, tmp_path, installer=installer)
    locked = api.lock(["det"], settings=settings)
    assert {name: file.version for name, file in next(iter(locked.contents.values())).items()} == EVERYTHING
    result = api.sync(settings=settings)
    assert result.installer.startswith(installer)
    assert there(venv) == EVERYTHING
    assert api.prepare_sync(settings=settings).nothing_to_do
    text = Path("pylock.toml").read_text(encoding="utf-8")
    assert not api.lock(settings=settings).is_changed
    assert Path("pylock.toml").read_text(encoding="utf-8") == text


def test_a_new_version_changes_nothing_until_it_is_asked_for(settings: Settings, public: Any) -> None:
    api.lock(["det"], settings=settings)
    public.add("numpy", "2.2.0")
    assert not api.lock(settings=settings).is_changed
    api.prepare_sync(locked=True, settings=settings)  # not stale either
    renewed = api.lock((), LockOptions(upgrade=True), settings=settings)
    assert "numpy-2.2.0" in renewed.text


def test_a_lock_goes_stale_with_its_requirements(settings: Settings) -> None:
    Path("requirements.txt").write_text("det\n", encoding="utf-8")
    api.lock((), LockOptions(requirement_files=("requirements.txt",)), settings=settings)
    api.prepare_sync(locked=True, settings=settings)
    Path("requirements.txt").write_text("det\nnumpy<2\n", encoding="utf-8")
    os.utime("pylock.toml", (1, 1))
    error = refused(api.prepare_sync, locked=True, settings=settings)
    assert error.code in ("stale-lock", "not-in-index", "conflicting-requirements")
    assert any("requirements.txt" in note for note in api.prepare_sync(settings=settings).notes)
    assert not api.prepare_sync(frozen=True, settings=settings).notes


def test_a_lock_that_was_edited_is_stale(settings: Settings) -> None:
    api.lock(["det"], settings=settings)
    path = Path("pylock.toml")
    path.write_text(path.read_text(encoding="utf-8").replace('requests = ["det"]', 'requests = ["pillow"]'), "utf-8")
    assert refused(api.prepare_sync, locked=True, settings=settings).code == "stale-lock"


def test_only_exact_removes_what_is_not_locked(settings: Settings, public: Any, venv: Path) -> None:
    api.lock(["det"], settings=settings)
    api.sync(settings=settings)
    stranger = public.add("stranger", "1.0")
    subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", stranger], check=True)
    assert api.prepare_sync(settings=settings).nothing_to_do
    result = api.sync(exact=True, settings=settings)
    assert [(each.action, each.name) for each in result.changes] == [("remove", "stranger")]
    assert there(venv) == EVERYTHING


def test_another_torch_is_refused_and_nothing_changes(
    settings: Settings, public: Any, venv: Path, tmp_path: Path
) -> None:
    api.lock(["det"], settings=settings)
    public.add_torch("2.12.0+cpu")
    wheel = next((tmp_path / "wheels").glob("torch-2.12*"))
    subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", wheel], check=True)
    assert refused(api.sync, settings=settings).code == "torch-locked"
    assert there(venv) == {"torch": "2.12.0+cpu"}


def test_a_torch_that_is_there_is_locked_and_kept(settings: Settings, public: Any, venv: Path, tmp_path: Path) -> None:
    public.add_torch("2.12.0+cpu")
    wheel = next((tmp_path / "wheels").glob("torch-2.12*"))
    subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", wheel], check=True)
    api.lock(["det"], settings=settings)
    result = api.sync(settings=settings)
    assert "torch" not in {each.name for each in result.changes}
    assert there(venv) == {**EVERYTHING, "torch": "2.12.0+cpu"}


def test_a_wheel_that_is_not_the_locked_one_changes_nothing(settings: Settings, site: Any, venv: Path) -> None:
    api.lock(["det"], settings=settings)
    wheel = site.folder / "files" / "mimctl_det-0.1.0-py3-none-any.whl"
    data = wheel.read_bytes()
    wheel.write_bytes(data[:-30] + bytes(30))
    assert refused(api.sync, settings=settings).code in ("hash-mismatch", "length-mismatch")
    assert there(venv) == {}


def test_a_lock_does_not_lead_to_the_machines_own_metadata(settings: Settings, site: Any, venv: Path) -> None:
    api.lock(["det"], settings=settings)
    path = Path("pylock.toml")
    path.write_text(path.read_text(encoding="utf-8").replace(site.url, "http://169.254.169.254/latest"), "utf-8")
    assert refused(api.sync, frozen=True, settings=settings).code == "unsafe-address"
    assert there(venv) == {}


def test_no_password_of_an_index_gets_into_a_lock(settings: Settings, site: Any, venv: Path, tmp_path: Path) -> None:
    secret = load(venv, site.url.replace("http://", "http://me:hunter2@"), tmp_path)
    text = api.lock(["det"], settings=secret).text
    assert "hunter2" not in text
    api.sync(settings=secret)
    assert there(venv) == EVERYTHING


def test_an_index_in_a_folder_is_named_from_the_lock(settings: Settings, site: Any, venv: Path, tmp_path: Path) -> None:
    folder = load(venv, str(site.folder), tmp_path)
    text = api.lock(["det"], settings=folder).text
    assert f'path = "{os.path.relpath(site.folder, Path.cwd())}/files/mimctl_det-0.1.0-py3-none-any.whl"' in text
    api.sync(settings=folder)
    assert there(venv) == EVERYTHING
    elsewhere = load(venv, site.url, tmp_path)
    assert refused(api.prepare_sync, settings=elsewhere).code == "bad-lock", "nobody named that folder"


def test_wheels_of_a_folder_of_ones_own_are_locked_and_synced(
    settings: Settings, public: Any, venv: Path, tmp_path: Path
) -> None:
    """`--find-links` as `install` has it; the lock of somebody else does not name folders of this machine by itself."""
    own = tmp_path / "my wheels"
    write_wheel(own, "tool-1.0-py3-none-any.whl", metadata="Requires-Dist: pillow\n")
    options = LockOptions(find_links=(os.path.relpath(own),))
    text = api.lock(["tool"], options, settings=settings).text
    assert f'path = "{os.path.relpath(own)}/tool-1.0-py3-none-any.whl"' in text
    assert not api.lock((), options, settings=settings).is_changed
    error = refused(api.prepare_sync, settings=settings)
    assert (error.code, error.hints[0].partition("`, or")[0]) == (
        "bad-lock",
        f"if that is meant, name the folder: `--find-links {own}",
    )
    plan = api.prepare_sync(find_links=(str(own),), locked=True, settings=settings)
    api.sync(plan=plan, settings=settings)
    assert {"tool", "pillow"} <= there(venv).keys()


def test_the_command_line(settings: Settings, site: Any, venv: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MIMCTL_")},
        "PYTHONPATH": str(root),
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_INDEX_URL": site.url,
        "MIMCTL_DRIVER": "none",
    }

    def mimctl(*words: str) -> tuple[int, str]:
        argv = [sys.executable, "-m", "mimctl", *words]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout or done.stderr

    python = str(venv / "bin" / "python")
    two = ["--for", "linux-x86_64-cpu", "linux-x86_64-cpu-glibc2.36", "--python", "3.11", "3.12"]
    code, out = mimctl("lock", "det", *two, "--torch", "2.13.0+cpu", "--dry-run")
    assert (code, out.count("7 wheels, 7 changed")) == (0, 4)
    assert not Path("pylock.toml").exists()
    assert mimctl("lock", "det", "-q", "--python", python) == (0, f"{Path('pylock.toml').absolute()}\n")
    assert mimctl("lock") == (0, "pylock.toml is up to date\n")
    code, out = mimctl("sync", "--python", python, "--yes")
    assert (code, out.count("installed ")) == (0, 7)
    assert mimctl("sync", "--python", python, "--locked") == (0, "nothing to do\n")
    code, out = mimctl("sync", "--python", python, "--locked", "--frozen")
    assert (code, out.splitlines()[0]) == (2, "error[usage]: `--locked` looks at what `--frozen` is not to look at")
    code, out = mimctl("lock", "-o", "other.toml")
    assert (code, out.splitlines()[0]) == (2, "error[missing-argument]: nothing to lock was named")
