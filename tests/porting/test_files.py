"""Files and folders: what is looked at, what is left alone, how it is written and shown."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mimctl.errors import UsageError
from mimctl.porting.counterparts import find_names
from mimctl.porting.diff import unified
from mimctl.porting.files import port_files, write_all

OLD = "from mmengine.hooks import Hook\n"
NEW = "from mimctl.engine import Hook\n"
NAMES = find_names()


def put(place: Path, text: str = OLD) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8", newline="")
    return place


def test_nothing_is_written_until_that_is_asked_for(tmp_path):
    path = put(tmp_path / "a.py")
    path.chmod(0o750)
    before = path.stat()
    porting = port_files(tmp_path, NAMES)
    assert (path.read_text(), path.stat().st_mtime_ns) == (OLD, before.st_mtime_ns)
    assert write_all(porting) == []
    assert (path.read_text(), path.stat().st_mode) == (NEW, before.st_mode)
    again = port_files(tmp_path, NAMES)
    assert (again.changed, again.files) == ([], ())
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]


def test_hidden_folders_environments_links_and_other_files_are_left_alone(tmp_path):
    outside = put(tmp_path / "outside" / "o.py")
    root = tmp_path / "root"
    kept = [put(root / ".git" / "a.py"), put(root / "env" / "lib" / "b.py"), put(root / "a.txt"), outside]
    put(root / "env" / "pyvenv.cfg", "")
    taken = [put(root / "p" / "q" / "a.py"), put(root / "typed.pyi")]
    (root / "file.py").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent, target_is_directory=True)
    (root / "round").symlink_to(root, target_is_directory=True)
    (root / "nowhere.py").symlink_to(tmp_path / "nothing")
    os.link(outside, root / "hard.py")
    porting = port_files(root, NAMES)
    assert write_all(porting) == []
    assert [path.read_text() for path in kept] == [OLD] * len(kept)
    assert [path.read_text() for path in (*taken, root / "hard.py")] == [NEW] * 3
    assert [Path(each).name for each in porting.links] == ["file.py", "folder", "nowhere.py", "round"]
    assert (porting.seen, (root / "file.py").is_symlink()) == (3, True)


def test_a_link_that_is_named_itself_is_left_alone(tmp_path):
    path = put(tmp_path / "a.py")
    (tmp_path / "b.py").symlink_to(path)
    porting = port_files(tmp_path / "b.py", NAMES)
    assert (porting.files, porting.links) == ((), (str(tmp_path / "b.py"),))


def test_broken_files_are_refused_and_the_others_go_on(tmp_path):
    put(tmp_path / "a.py")
    put(tmp_path / "b.py", "\n\nfrom mmengine import (\n")
    (tmp_path / "c.py").write_bytes(b"x = '\xff'\n")
    put(tmp_path / "d.py")
    porting = port_files(tmp_path, NAMES)
    assert [Path(each.path).name for each in porting.changed] == ["a.py", "d.py"]
    assert [(Path(each.origin.file).name, each.origin.line) for each in porting.refused] == [("b.py", 3), ("c.py", 1)]


def test_a_file_that_somebody_changed_meanwhile_is_not_written(tmp_path):
    first, second = put(tmp_path / "a.py"), put(tmp_path / "b.py")
    porting = port_files(tmp_path, NAMES)
    put(first, OLD + "mine = 1\n")
    (refused,) = write_all(porting)
    assert "changed while" in refused.message
    assert first.read_text() == OLD + "mine = 1\n"
    assert second.read_text() == NEW


def test_a_package_of_an_old_name_is_the_project_itself(tmp_path):
    text = "from mmdet.registry import MODELS\nfrom mmengine import Hook\n"
    path = put(tmp_path / "mmdet" / "models" / "a.py", text)
    put(tmp_path / "mmdet" / "__init__.py", "")
    for place in (tmp_path, tmp_path / "mmdet", path):
        (ported,) = port_files(place, NAMES).changed
        assert ported.after == text.replace("mmengine", "mimctl.engine")


def test_what_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError) as caught:
        port_files(tmp_path / "none", NAMES)
    assert caught.value.code == "port-not-found"


@pytest.mark.parametrize(
    "text", [OLD, OLD + "x = 1", "x = 1\n" * 9 + OLD + "\n\n\ny = 'é'\n", OLD.replace("\n", "\r\n") * 2]
)
def test_the_diff_applies_to_the_same_bytes(tmp_path, text):
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here")
    paths = [put(tmp_path / "sub dir" / "a.py", text), put(tmp_path / 'x\n+++ b\\é".py', text)]
    porting = port_files(tmp_path, NAMES)
    diff = unified(porting.changed, tmp_path)
    assert diff.startswith("--- a/sub dir/a.py")
    assert diff.count("\n+++ ") == 2
    subprocess.run([git, "apply", "-p1"], input=diff.encode(), cwd=tmp_path, check=True)
    assert [path.read_bytes() for path in paths] == [each.data for each in porting.changed]
