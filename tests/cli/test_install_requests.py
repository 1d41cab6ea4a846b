"""What `mimctl install` takes from the command line, typed into real environments."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from mim_package import write_package
from static_server import serving
from tiny_projects import BUILD_BACKEND, write_project
from tiny_wheels import write_wheel

from mimctl.environment.distributions import read_direct_url, scan


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return an environment with neither pip nor torch: uv beside mimctl serves it."""
    folder = tmp_path / "a venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


@pytest.fixture
def wheels(tmp_path: Path, environment: dict[str, str]) -> Path:
    """Return a folder of wheels that is all that pip is configured with."""
    folder = tmp_path / "wheels"
    for version in ("1.0", "2.0", "3.0rc1"):
        write_wheel(folder, f"plain-{version}-py3-none-any.whl")
    write_wheel(folder, "numpy-2.1.0-py3-none-any.whl")
    write_wheel(folder, "needy-1.0-py3-none-any.whl", metadata="Requires-Dist: plain>=1")
    backend = {"tiny_build/__init__.py": BUILD_BACKEND.encode()}
    write_wheel(folder, "tiny_build-1.0-py3-none-any.whl", extra=backend)
    environment["PIP_CONFIG_FILE"] = "/dev/null"
    environment["PIP_NO_INDEX"] = "1"
    environment["PIP_FIND_LINKS"] = str(folder)
    environment["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    return folder


@pytest.fixture
def install(mimctl, target, wheels):
    """Return what types `mimctl install`."""
    return lambda *words: mimctl("install", *words, "--torch", "none", "--yes", "--python", target)


def there(target: Path) -> dict[str, str]:
    """Return what is installed."""
    return {name: each.version for name, each in scan(target.glob("lib/python*/site-packages")).items()}


def test_a_package_installs_as_pip_does_it(install, target):
    said = install("needy")
    assert said.code == 0, said.err
    assert there(target) == {"needy": "1.0", "plain": "2.0"}
    assert "installed needy 1.0" in said.out
    again = install("needy>=1")
    assert (again.code, again.out) == (0, "nothing to do\n")


def test_requirements_files_constraints_and_prereleases(install, target, tmp_path):
    (tmp_path / "reqs.txt").write_text("-c limits.txt\nneedy  # and what it needs\n", encoding="utf-8")
    (tmp_path / "limits.txt").write_text("plain<2\n", encoding="utf-8")
    assert install("-r", str(tmp_path / "reqs.txt")).code == 0
    assert there(target) == {"needy": "1.0", "plain": "1.0"}
    assert install("-U", "plain").code == 0
    assert there(target)["plain"] == "2.0"
    assert install("-U", "--pre", "plain").code == 0
    assert there(target)["plain"] == "3.0rc1"


def test_a_package_of_mims_convention_is_installed_with_a_word_on_what_it_lacks(install, mimctl, target, wheels):
    needs = "Provides-Extra: mim\nRequires-Dist: mmcv<2.2.0,>=2.0.0rc4; extra == 'mim'"
    write_package(wheels, name="mmdet", module="mmdet", version="3.3.0", metadata=needs)
    said = install("mmdet==3.3.0")
    assert (said.code, said.out) == (0, "installed mmdet 3.3.0\n")
    assert "warning: `mmdet` cannot work here: needs mmcv<2.2.0,>=2.0.0rc4, which is not installed" in said.err
    assert "net_s_1x_coco" in mimctl("search", "mmdet", "--python", target).out
    assert "cannot work here" in mimctl("list", "--python", target).out


def test_find_links_and_no_index_of_the_command_line(install, target, tmp_path):
    write_wheel(tmp_path / "more wheels", "extra_one-1.0-py3-none-any.whl")
    assert install("extra-one").code == 1
    assert install("extra-one", "--no-index", "-f", str(tmp_path / "more wheels")).code == 0
    assert there(target) == {"extra-one": "1.0"}


def test_package_indexes_of_the_command_line_and_of_a_file(install, target, environment, tmp_path):
    del environment["PIP_NO_INDEX"], environment["PIP_FIND_LINKS"]
    for folder, version in (("main", "1.0"), ("extra", "1.1")):
        wheel = write_wheel(tmp_path / "www" / folder / "solo", f"solo-{version}-py3-none-any.whl")
        page = f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>'
        (wheel.parent / "index.html").write_text(page, encoding="utf-8")
    with serving(tmp_path / "www") as server:
        assert install("-i", f"{server.address}/main", "solo").code == 0
        assert there(target) == {"solo": "1.0"}
        (tmp_path / "reqs.txt").write_text(
            f"-i {server.address}/main\n--extra-index-url {server.address}/extra\nsolo>1\n", encoding="utf-8"
        )
        said = install("-r", str(tmp_path / "reqs.txt"))
        assert said.code == 0, said.err
        assert there(target) == {"solo": "1.1"}


def test_a_wheel_a_folder_and_an_editable_project_at_once(install, target, wheels, tmp_path):
    mine, yours = write_project(tmp_path / "my project"), write_project(tmp_path / "yours", name="yours")
    said = install("-e", str(mine), str(yours), str(wheels / "plain-1.0-py3-none-any.whl"))
    assert said.code == 0, said.err
    assert there(target) == {"mine": "1.5", "yours": "1.5", "plain": "1.0", "numpy": "2.1.0"}
    found = scan(target.glob("lib/python*/site-packages"))
    assert read_direct_url(found["mine"])["dir_info"] == {"editable": True}
    assert read_direct_url(found["numpy"]) == {}
    code = "import mine, yours; print(mine.BUILT, yours.BUILT)"
    ran = subprocess.run([target / "bin" / "python", "-c", code], capture_output=True, text=True)
    assert ran.stdout == "False True\n", ran.stderr


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_where_something_was_built_from_is_recorded(install, mimctl, target, tmp_path, installer):
    subprocess.run([sys.executable, "-m", "venv", target], check=True)
    folder = write_project(tmp_path / "a folder", name="one")
    repository = write_project(tmp_path / "repository" / "python", name="two").parent
    who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@x", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@x"}
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run(["git", *words], cwd=repository, env={**os.environ, **who}, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
    address = f"git+{repository.as_uri()}@v1#subdirectory=python"
    said = install(str(folder), address, "--installer", installer)
    assert said.code == 0, said.err
    found = scan(target.glob("lib/python*/site-packages"))
    assert read_direct_url(found["one"]) == {"url": folder.as_uri(), "dir_info": {}}
    assert read_direct_url(found["two"]) == {
        "url": repository.as_uri(),
        "subdirectory": "python",
        "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": head.stdout.strip()},
    }
    for info in (found["one"].path, found["two"].path):
        rows = list(csv.reader((info / "RECORD").open(encoding="utf-8")))
        for name, digest, _ in (row for row in rows if row[1]):
            content = (info.parent / name).read_bytes()
            assert digest == "sha256=" + urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert len({row[0] for row in rows}) == len(rows)
    before = {path for path in found["one"].path.parent.iterdir() if not path.name.startswith(("pip", "setup"))}
    assert mimctl("uninstall", "-y", "one", "two", "--installer", installer, "--python", target).code == 0
    left = [path.name for path in before if path.exists() and path.name[:3] in ("one", "two")]
    assert left == []


def test_a_dry_run_builds_and_changes_nothing(install, target, tmp_path):
    said = install("--dry-run", "--json", str(write_project(tmp_path / "mine")))
    assert said.code == 0, said.err
    changes = {each["name"]: each for each in json.loads(said.out)["changes"]}
    assert changes["mine"]["version"] == "1.5"
    assert changes["mine"]["source"] == str(tmp_path / "mine")
    assert there(target) == {}


def test_a_build_that_needs_torch_says_what_to_type(install, target, tmp_path):
    said = install(str(write_project(tmp_path / "mine", needs_torch=True)))
    assert said.code == 1
    assert "error[build-failed]" in said.err
    assert "its build imports `torch`, undeclared" in said.err
    assert "add `--no-build-isolation`" in said.err
    assert there(target) == {}


def test_what_has_no_wheel_is_built_where_it_is_asked_for(install, target, wheels, tmp_path):
    for version in ("1.5", "2.0"):
        source = write_project(tmp_path / version, name="odd_one", version=version)
        with tarfile.open(wheels / f"odd_one-{version}.tar.gz", "w:gz") as packed:
            packed.add(source, f"odd_one-{version}")
    said = install("odd-one")
    assert said.code == 3
    assert "`mimctl install odd-one --build odd-one`" in said.err
    assert there(target) == {}
    assert install("odd-one<2", "--build", "odd_one").code == 0
    assert there(target) == {"odd-one": "1.5", "numpy": "2.1.0"}
    (tmp_path / "reqs.txt").write_text("odd-one\n--no-binary odd-one\n", encoding="utf-8")
    assert install("-r", str(tmp_path / "reqs.txt")).code == 0
    assert there(target)["odd-one"] == "2.0"
    said = install("odd-one==7", "--build", "odd-one")
    assert "error[not-in-index]: no source distribution of `odd-one==7`" in said.err
    assert install("mimctl-ops", "--build", "mimctl-ops").code == 1


def test_hashes_of_a_file_are_asked_for(install, target, wheels, tmp_path):
    right = hashlib.sha256((wheels / "plain-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    file = tmp_path / "reqs.txt"
    file.write_text(f"plain==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    said = install("-r", str(file))
    assert said.code != 0
    assert there(target) == {}
    file.write_text(f"plain==1.0 --hash=sha256:{right}\n", encoding="utf-8")
    assert install("--require-hashes", "-r", str(file)).code == 0
    assert there(target) == {"plain": "1.0"}
    said = install("--require-hashes", "needy")
    assert "no hash is named for `needy`" in said.err


def test_uninstall_takes_a_requirements_file(mimctl, install, target, tmp_path):
    install("needy")
    (tmp_path / "reqs.txt").write_text("Needy>=1\n# no more\n", encoding="utf-8")
    said = mimctl("uninstall", "-y", "-r", tmp_path / "reqs.txt", "--python", target)
    assert (said.code, there(target)) == (0, {"plain": "2.0"})


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((), 2, "nothing is named"),
        (("-r", "absent.txt"), 2, "`absent.txt` cannot be read"),
        (("./absent",), 2, "nothing to install at `./absent`"),
        (("-e", "plain"), 2, "write `-e ./plain`"),
        (("mmcv>=2.0.0rc0",), 1, "error[served-by-ours]"),
        (("no-such-package",), 1, "error[unknown-plugin]"),
        (("plain==1.0", "plain==2.0"), 1, "error[conflicting-requirements]"),
        (("plain==9.9",), 1, "plain"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(install, target, words, code, text):
    said = install(*words)
    assert said.code == code, said.err
    assert text in said.err
    assert there(target) == {}


def test_uninstall_of_nothing_is_a_usage_error(mimctl, target):
    said = mimctl("uninstall", "--python", target)
    assert (said.code, "nothing is named" in said.err) == (2, True)
