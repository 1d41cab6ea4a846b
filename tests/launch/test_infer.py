"""Inference over several processes, and inference that nobody waits for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from login_node import Login
from tiny_model import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    return write_model(tmp_path_factory.mktemp("model"))


def test_ranks_share_the_images_and_find_what_one_process_finds(model: tuple[Path, list[Path]], tmp_path: Path) -> None:
    desk = Login.at(tmp_path)
    checkpoint, pictures = model
    line = ("infer", "cls", checkpoint, *pictures, "--json", "--out-dir")
    alone = json.loads(desk.mimctl(*line, "one", "--gpus", 0).stdout)
    shared = json.loads(desk.mimctl(*line, "two", "--procs", 2).stdout)
    assert [each["path"] for each in shared["images"]] == list(map(str, pictures))
    assert [each["labels"] for each in shared["images"]] == [each["labels"] for each in alone["images"]]
    names = ["a.jpg", "b.jpg", "c.jpg", "a_2.jpg", "d.jpg"]
    for found, folder in ((alone, "one"), (shared, "two")):
        assert [each["picture"] for each in found["images"]] == [str(tmp_path / folder / name) for name in names]
        assert all(Path(each["picture"]).is_file() for each in found["images"])
    assert sorted(each.name for each in (tmp_path / "two").iterdir()) == sorted(names), "pictures, nothing else"


@pytest.mark.slow  # a detached training does the same
def test_inference_goes_on_by_itself(model: tuple[Path, list[Path]], tmp_path: Path) -> None:
    desk = Login.at(tmp_path)
    checkpoint, pictures = model
    done = desk.mimctl("infer", "cls", checkpoint, pictures[0], "--gpus", 0, "--detach")
    assert done.returncode == 0, done.stderr
    state = desk.wait(done.stdout.strip(), lambda each: each["state"] != "running")
    assert (state["state"], state["action"], state["name"]) == ("done", "infer", "lenet")
    assert (tmp_path / "outputs/lenet/a.jpg").is_file()
    assert json.loads(Path(state["run_dir"], "result.json").read_text())["images"][0]["path"] == str(pictures[0])
