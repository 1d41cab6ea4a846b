"""`mimctl cache`: what it prints and what it removes."""

from __future__ import annotations

import json
import os
import time


def fill(folder):
    for name, size in (("wheels/aa/a.whl", 2_500_000), ("weights/bb/w.pth", 10), ("weights/incoming/x/w.pth.part", 5)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(size))
        os.utime(folder / name, (time.time() - 40 * 86400,) * 2)


def test_dir_and_size_say_where_and_how_much(mimctl, tmp_path):
    folder = tmp_path / "cache"
    fill(folder)
    env = {"MIMCTL_CACHE_DIR": str(folder)}
    assert mimctl("cache", "dir", env=env).out == f"{folder}\n"
    done = mimctl("cache", "size", env=env)
    assert done.code == 0
    assert "wheels   1 file   2.5 MB" in done.out
    assert "in all   3 files  2.5 MB" in done.out
    data = json.loads(mimctl("cache", "size", "--json", env=env).out)
    assert (data["size"], data["kinds"]["partial"]) == (2_500_015, {"files": 1, "size": 5})


def test_prune_and_clean_remove_and_say_what(mimctl, tmp_path):
    folder = tmp_path / "cache"
    fill(folder)
    env = {"MIMCTL_CACHE_DIR": str(folder)}
    would = mimctl("cache", "prune", "--days", "30", "--dry-run", env=env)
    assert would.out.splitlines()[-1] == "would remove 3 files, 2.5 MB"
    assert len(would.out.splitlines()) == 4
    assert mimctl("cache", "prune", "--days", "50", env=env).out == "removed 1 file, 5 bytes\n"
    data = json.loads(mimctl("cache", "clean", "weights", "--json", env=env).out)
    assert [each["kind"] for each in data["removed"]] == ["weights"]
    assert mimctl("cache", "clean", env=env).out == "removed 1 file, 2.5 MB\n"
    assert mimctl("cache", "clean", env=env).out == "nothing to do\n"


def test_an_unknown_kind_is_a_usage_error(mimctl, tmp_path):
    done = mimctl("cache", "clean", "wheel", env={"MIMCTL_CACHE_DIR": str(tmp_path)})
    assert done.code == 2
    assert "did you mean `wheels`?" in done.err
