"""A classifier that one person trains and publishes, and another fetches, tests and verifies."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from tiny_wheels import write_wheel

from mimctl.engine.checkpoints.checkpoint import read_checkpoint

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of two kinds, bright and dark, and an index without any model."""
    folder = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(0)
    for split, many in (("train", 24), ("val", 12)):
        for kind, level in (("bright", 200), ("dark", 40)):
            place = folder / "lamps" / split / kind
            place.mkdir(parents=True)
            for number in range(many):
                picture = random.integers(level - 40, level + 40, (32, 32, 3), dtype=np.uint8)
                cv2.imwrite(str(place / f"{number}.png"), picture)
    (folder / "wheels").mkdir()
    write_wheel(folder / "wheels")
    return folder


@pytest.fixture(scope="module")
def person(shop: Path) -> Callable[[str], Call]:
    """Return a maker of people: each has a home, a cache and a folder of their own, and the index in common."""

    def sit_down(name: str) -> Call:
        folder = shop / name
        folder.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "MIMCTL_HOME": str(folder / "home"),
            "MIMCTL_CACHE_DIR": str(folder / "cache"),
            "MIMCTL_INDEX_URL": str(shop / "site"),
            "MIMCTL_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
        }

        def mimctl(*words: object) -> subprocess.CompletedProcess[str]:
            argv = [sys.executable, "-P", "-m", "mimctl", *map(str, words)]
            return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)

        return mimctl

    return sit_down


@pytest.fixture(scope="module")
def author(person: Callable[[str], Call], shop: Path) -> Call:
    """A person who has trained a model of the lamps."""
    mimctl = person("author")
    assert mimctl("index", "build", "--wheels", shop / "wheels", "--out", shop / "site").returncode == 0
    line = ("train", "cls", "lenet5_mnist_t10k", "--data", shop / "lamps", "--weights", "none", "--epochs", 2)
    done = mimctl(
        *line, "--seed", 0, "--gpus", 0, "--work-dir", "run", "--cfg-options", "train_dataloader.num_workers=0"
    )
    assert done.returncode == 0, done.stderr
    return mimctl


def test_a_second_person_fetches_what_was_published_and_measures_the_same(
    author: Call, person: Callable[[str], Call], shop: Path
) -> None:
    line = ("zoo", "publish", "run", "--name", "lamps", "--dataset", "Lamps", "--out", "zoo", "--into", shop / "site")
    published = author(*line, "--json")
    assert published.returncode == 0, published.stderr
    told = json.loads(published.stdout)
    files = {Path(each).name: Path(each) for each in told["files"]}
    assert len(files) == 5
    for name, path in files.items():
        if path.suffix in (".pth", ".safetensors"):
            assert name.startswith(f"lamps-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}")
            found = read_checkpoint(path)
            assert "optimizer" not in found
            assert found["meta"]["dataset_meta"]["classes"] == ["bright", "dark"]
    metafile = yaml.safe_load(files["metafile.yml"].read_text())
    (model,) = metafile["Models"]
    assert (model["Name"], model["Results"][0]["Dataset"]) == ("lamps", "Lamps")
    assert model["Metadata"]["Epochs"] in (1, 2)
    assert model["Results"][0]["Metrics"] == told["metrics"]
    for name in ("lamps.py", "lamps.log.json", "metafile.yml"):
        assert str(shop / "author") not in files[name].read_text(), "where the run was is nobody's business"
    again = json.loads(author(*line, "--json").stdout)
    assert again["files"] == told["files"], "the same weights have the same names"

    user = person("user")
    fetched = user("download", "cls", "lamps", "--log", "--dest", ".")
    assert fetched.returncode == 0, fetched.stderr
    config, weights, log = fetched.stdout.split()
    assert Path(log).read_bytes() == files["lamps.log.json"].read_bytes()
    assert any("loss" in json.loads(line) for line in Path(log).read_text().splitlines())
    assert "not checked" not in fetched.stderr
    tested = user("test", "cls", config, "-C", weights, "--gpus", 0, "--json")
    assert tested.returncode == 0, tested.stderr
    measured = json.loads(tested.stdout)["metrics"]
    assert {name: measured[name] for name in told["metrics"]} == told["metrics"]
    verified = user("zoo", "verify", "cls", "lamps", "--gpus", 0, "--json")
    assert verified.returncode == 0, verified.stderr
    assert [each["same"] for each in json.loads(verified.stdout)["figures"]] == [True] * len(told["metrics"])


def test_a_model_that_does_not_reach_its_figures_is_told(
    author: Call, person: Callable[[str], Call], shop: Path
) -> None:
    line = ("zoo", "publish", "run", "--name", "boast", "--out", "boast", "--into", shop / "site", "-q")
    assert author(*line).stdout.strip() == "boast"
    path = shop / "site" / "zoo" / "cls.json"
    document = json.loads(path.read_text())
    (model,) = (each for each in document["models"] if each["name"] == "boast")
    model["results"][0]["metrics"] = {"accuracy/top1": 12.5, "of others": 3}
    path.write_text(json.dumps(document))
    done = person("judge")("zoo", "verify", "cls", "boast", "--gpus", 0, "--json")
    assert done.returncode == 1, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert [(each["same"], each["measured"] is None) for each in figures] == [(False, False), (False, True)]


def test_what_cannot_be_published_is_one_error(author: Call, shop: Path) -> None:
    unfit = author("zoo", "publish", "run", "--name", "a/b", "--out", "none")
    assert (unfit.returncode, "is no name for a model" in unfit.stderr) == (2, True)
    assert not (shop / "author" / "none").exists()
    nothing = author("zoo", "publish", ".", "--toolbox", "cls")
    assert (nothing.returncode, "error[checkpoint-not-found]" in nothing.stderr) == (1, True)
    for events in (shop / "author" / "run").glob("*/events.jsonl"):
        events.rename(events.with_suffix(".away"))
    unmeasured = author("zoo", "publish", "run", "--out", "none")
    assert (unmeasured.returncode, "error[not-measured]" in unmeasured.stderr) == (1, True)
