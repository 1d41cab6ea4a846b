"""`mimctl download` as a person types it: exit code, stdout and stderr as a whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mimctl(tmp_path: Path, index_dir: Path, package_index: Path, mirror: Any, facts: Any) -> Any:
    """Return a function that runs `mimctl` in a folder of its own, against the index and the mirror."""
    mirror.put(facts.path, facts.weights)
    work = tmp_path / "work place"
    work.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_INDEX_URL": str(index_dir),
        "MIMCTL_PYTHON": sys.executable,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "mimctl", "download", *arguments]
        return subprocess.run(argv, cwd=work, env=environment, capture_output=True, text=True, timeout=240)

    run.work = work  # type: ignore[attr-defined]
    return run


def test_stdout_is_the_two_paths(mimctl: Any, mirror: Any, facts: Any) -> None:
    arguments = ("mmdet", "--config", "rtmdet_s", "--dest", ".", "--mirror", mirror.address)
    done = mimctl(*arguments)
    assert done.returncode == 0, done.stderr
    config, checkpoint = done.stdout.splitlines()
    assert (mimctl.work / config).read_text(encoding="utf-8").startswith(f"# {facts.stem}: flattened from")
    assert (mimctl.work / checkpoint).read_bytes() == facts.weights
    assert "32-bit check only" in done.stderr
    again = mimctl(*arguments, "--json")
    model = json.loads(again.stdout)["models"][0]
    assert (model["check"], model["new"]) == ("32-bit", False)


def test_wrong_name_and_wrong_file_are_errors(mimctl: Any, mirror: Any, facts: Any) -> None:
    done = mimctl("det", "rtmdet_q", "--mirror", mirror.address)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error[unknown-model]: no model `rtmdet_q` in the zoo\n")
    mirror.put(facts.path, b"spoilt")
    done = mimctl("det", "rtmdet_s", "--mirror", mirror.address, "--dest", "d")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[hash-mismatch]" in done.stderr
    assert list(mimctl.work.rglob("*.pth*")) == []


def test_offline_without_a_cache_is_rc_4(mimctl: Any) -> None:
    done = mimctl("det", "rtmdet_s", "--offline")
    assert (done.returncode, done.stdout) == (4, "")
    assert "error[offline]" in done.stderr


def test_two_at_once_fetch_the_file_once(mimctl: Any, mirror: Any, facts: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        arguments = ("det", "rtmdet_s", "--dest", ".", "--mirror", mirror.address)
        outcomes = list(pool.map(lambda _: mimctl(*arguments), range(2)))
    assert [done.returncode for done in outcomes] == [0, 0], [done.stderr for done in outcomes]
    assert mirror.requests == [f"/{facts.path}"]
    assert sorted(path.name for path in mimctl.work.iterdir()) == [f"{facts.stem}.py", facts.filename]


def test_index_without_models_or_without_anything_is_an_error(mimctl: Any, tmp_path: Path) -> None:
    done = mimctl("pose", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[no-zoo]" in done.stderr
    done = mimctl("det", "x", "--index", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[not-an-index]" in done.stderr


def test_bases_log_and_what_the_cache_lacks(mimctl: Any, mirror: Any, facts: Any) -> None:
    done = mimctl("det", "rtmdet_s", "rtmdet_nano", "--from-cache", "--mirror", mirror.address)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("error[not-in-cache]: the cache does not hold all of this\n")
    assert mirror.requests == []
    done = mimctl("mmdet", "rtmdet_s", "--bases", "--log", "--dest", "d", "--mirror", mirror.address, "--json")
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)["models"][0]
    assert (model["log"], len(model["bases"]) > 2) == (None, True)
    assert model["bases"][-1] == str(mimctl.work / "d" / "configs" / "rtmdet" / f"{facts.stem}.py")
    assert "was published" in done.stderr
    again = mimctl("mmdet", "rtmdet_s", "--from-cache", "--dest", "e")
    assert again.stdout.splitlines() == [
        str(mimctl.work / "e" / f"{facts.stem}.py"),
        str(mimctl.work / "e" / facts.filename),
    ]
    assert Config.fromfile(model["config"]) == Config.fromfile(again.stdout.splitlines()[0])
    assert mimctl("--dataset", "mnist", "--bases").returncode == 2


def test_models_that_came_are_printed_before_the_error_of_those_that_failed(
    mimctl: Any, mirror: Any, facts: Any, index_dir: Path
) -> None:
    path = index_dir / "zoo" / "det.json"
    zoo = json.loads(path.read_text(encoding="utf-8"))
    zoo["models"][2] |= {"weights": {"url": "http://localhost:9/gone-01234567.pth"}}
    path.write_text(json.dumps(zoo), encoding="utf-8")
    arguments = ("det", "tracker", "rtmdet_s", "--dest", "d", "--mirror", mirror.address)
    done = mimctl(*arguments)
    assert done.returncode == 4
    assert [Path(line).name for line in done.stdout.splitlines()] == [f"{facts.stem}.py", facts.filename]
    assert "error[models-failed]: 1 of 2 models could not be fetched\n  cause: tracker: cannot fetch" in done.stderr
    error = json.loads(mimctl(*arguments, "--json").stdout)["error"]
    assert [each["name"] for each in error["details"]["models"]] == [facts.stem]
    assert list(error["details"]["failed"]) == ["tracker"]
