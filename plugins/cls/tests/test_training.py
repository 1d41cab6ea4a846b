"""That classifiers learn: LeNet-5 digits, by its config and by the commands people type; ResNet-18 ten pictures."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mimctl.config import Config
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError
from mimctl_cls.apis import get_model, inference_model, init_model, register_all_modules
from mimctl_cls.datasets import MNIST
from mimctl_cls.structures import DataSample
from mimctl_cls.transforms import ResizeEdge

T10K = "lenet/lenet5_mnist_t10k.py"


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return gzip.compress(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes(), 1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with scikit-learn's 1,797 handwritten digits as MNIST's test files."""
    bunch = pytest.importorskip("sklearn.datasets").load_digits()
    pictures = [cv2.resize((each * 15.9).astype(np.uint8), (28, 28)) for each in bunch.images]
    folder = tmp_path_factory.mktemp("digits")
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(idx(np.stack(pictures)))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(bunch.target.astype(np.uint8)))
    return folder


def prepared(config: Config, data: Path, work_dir: Path, **changes: Any) -> Config:
    """Return the config with its data in `data`."""
    config.merge_from_dict({f"{split}_dataloader.dataset.data_prefix": str(data) for split in ("train", "val", "test")})
    config.merge_from_dict({"work_dir": str(work_dir), "randomness.seed": 0, **changes})
    return config


def train(config: Config) -> dict[str, float]:
    """Train, and return the figures of a validation after the end."""
    runner = Runner.from_cfg(config)
    runner.train()
    return runner.val()


def test_lenet_learns_some_hundred_digits(own_config: Callable[[str], Config], digits: Path, tmp_path: Path) -> None:
    changes = {
        "train_dataloader.dataset.indices": 600,
        "train_dataloader.batch_size": 16,
        "val_dataloader.dataset.indices": -300,
        "train_cfg.max_epochs": 3,
        "train_cfg.val_interval": 10,
        "param_scheduler.1.end": 3,
        "param_scheduler.1.T_max": 2,
    }
    figures = train(prepared(own_config(T10K), digits, tmp_path, **changes))
    assert figures["accuracy/top1"] > 60  # a tenth is chance


@pytest.mark.slow
def test_lenet_tells_98_of_100_real_digits(
    own_config: Callable[[str], Config], test_data: Path, tmp_path: Path
) -> None:
    """The first 8,000 of MNIST's published test digits train, the last 2,000 test."""
    figures = train(prepared(own_config(T10K), test_data / "mnist", tmp_path))
    assert figures["accuracy/top1"] >= 98


def test_more_classes_in_the_data_than_in_the_model_is_one_error(
    own_config: Callable[[str], Config], digits: Path, tmp_path: Path
) -> None:
    config = prepared(own_config(T10K), digits, tmp_path, **{"model.backbone.num_classes": 5})
    with pytest.raises(ConfigError, match=r"the data has a label 9, and the model 5 classes") as caught:
        Runner.from_cfg(config).train()
    assert caught.value.code == "class-mismatch"


@pytest.fixture(scope="module")
def trained(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `mimctl train cls lenet5_mnist --data DIR` was typed."""
    place = tmp_path_factory.mktemp("place")
    options = ("--weights", "none", "--epochs", "2", "--batch", "16", "--lr", "0.02", "--gpus", "0", "--seed", "1")
    done = mimctl("train", "cls", "lenet5_mnist", "--data", str(digits), *options, "--work-dir", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "train: 1438 images" in done.stderr
    assert "note: only `t10k-…` is there: its first 1438 pictures train, its last 359 validate" in done.stderr
    return place


def mimctl(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MIMCTL_HOME": str(cwd / "home")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-m", "mimctl", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_a_checkpoint_keeps_the_class_names(trained: Path) -> None:
    checkpoint = torch.load(trained / "run/epoch_2.pth", weights_only=True)
    assert checkpoint["meta"]["dataset_meta"]["classes"][4] == "4 - four"


def test_testing_prints_and_dumps(trained: Path) -> None:
    arguments = ("run/run.py", "-C", "last", "--out", "found.pt", "--show-dir", "shown", "--gpus", "0", "--json")
    done = mimctl("test", "cls", *arguments, "--cfg-options", "test_dataloader.dataset.indices=-20", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["accuracy/top1"] > 40
    dumped = torch.load(trained / "found.pt", weights_only=True)
    assert len(dumped) == 20
    assert dumped[0]["pred_score"].shape == (10,)
    shown = sorted((trained / "shown").iterdir())
    assert len(shown) == 20
    assert cv2.imread(str(shown[0])).shape == (160, 160, 3)


def test_inference_names_files_folders_and_patterns(trained: Path, digits: Path) -> None:
    folder = trained / "pictures"
    folder.mkdir()
    dataset = MNIST(str(digits), test_mode=True, indices=6)
    for number in range(6):
        info = dataset.get_data_info(number)
        cv2.imwrite(str(folder / f"{info['gt_label']}.png"), info["img"])
    arguments = ("run/epoch_2.pth", "pictures", "--topk", "2", "--out-dir", "seen", "--gpus", "0")
    done = mimctl("infer", "cls", *arguments, "--json", cwd=trained)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["images"]
    assert len(found) == 6
    assert all(len(each["labels"]) == 2 for each in found)
    assert set(found[0]["labels"][0]) == {"label", "class", "score"}
    assert all(each["labels"][0]["score"] >= each["labels"][1]["score"] for each in found)
    right = sum(each["labels"][0]["class"] == int(Path(each["path"]).stem) for each in found)
    assert right >= 3
    assert cv2.imread(found[0]["picture"]).shape == (168, 168, 3)
    plain = mimctl(
        "infer", "cls", "run/epoch_2.pth", "pictures/[01].png", "--score-thr", "0", "--gpus", "0", cwd=trained
    )
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.count("\n  -> ") == 2
    assert plain.stdout.count(" - ") == 10


def test_python_entry_points(trained: Path, digits: Path) -> None:
    model = init_model(str(trained / "run/run.py"), str(trained / "run/epoch_2.pth"))
    assert model.dataset_meta["classes"][0] == "0 - zero"
    grey = MNIST(str(digits), test_mode=True).get_data_info(0)["img"]
    cv2.imwrite(str(trained / "one.png"), grey)
    by_path, by_array = (
        inference_model(model, each) for each in (trained / "one.png", cv2.imread(str(trained / "one.png")))
    )
    assert set(by_path) == {"pred_scores", "pred_label", "pred_score", "pred_class"}
    assert by_path["pred_scores"].shape == (10,)
    assert np.allclose(by_path["pred_scores"], by_array["pred_scores"], atol=1e-3)
    assert by_path["pred_class"] == model.dataset_meta["classes"][by_path["pred_label"]]
    assert len(inference_model(model, [trained / "one.png"] * 3, batch_size=2)) == 3
    assert get_model(str(trained / "run/run.py"), str(trained / "run/epoch_2.pth")).training is False
    with pytest.raises(ValueError, match="name the weights"):
        get_model(str(trained / "run/run.py"), pretrained=True)
    with pytest.warns(UserWarning, match="not needed"):
        register_all_modules()


def test_the_wrong_folder_is_sent_to_the_toolbox_that_reads_it(trained: Path, test_data: Path) -> None:
    done = mimctl("data", "cls", str(test_data / "bccd"), cwd=trained)
    assert done.returncode == 1
    assert f"hint: `det` reads it (voc): `mimctl data det {test_data}/bccd`" in done.stderr
    for name in ("cat/1.png", "dog/1.png"):
        (trained / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(trained / "pets" / name), np.zeros((4, 4, 3), np.uint8))
    done = mimctl("data", "det", "pets", cwd=trained)
    assert done.returncode == 1
    assert "hint: `cls` reads it (folders): `mimctl data cls pets`" in done.stderr


def test_resnet_overfits_ten_real_pictures(
    own_config: Callable[[str], Config], build: Callable[[Config], Any], test_data: Path
) -> None:
    torch.manual_seed(0)
    config = own_config("resnet/resnet18_8xb32_in1k.py")
    config.model.head.num_classes = 10
    config.model.data_preprocessor = config.data_preprocessor
    model = build(config)
    model.init_weights()
    paths = [
        *sorted((test_data / "mmpretrain/demo").iterdir()),
        *sorted((test_data / "bccd/BCCD/JPEGImages").iterdir()),
    ]
    resize = ResizeEdge(48, edge="height")
    images = [torch.from_numpy(resize({"img": cv2.imread(str(path))})["img"][:, :48].copy()) for path in paths[:10]]
    inputs = [each.permute(2, 0, 1).contiguous() for each in images]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    model.train()
    for _ in range(30):
        batch = {"inputs": inputs, "data_samples": [DataSample().set_gt_label(label) for label in range(10)]}
        loss, _ = model.parse_losses(model(**model.data_preprocessor(batch, True), mode="loss"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        found = model.val_step({"inputs": inputs, "data_samples": [DataSample() for _ in inputs]})
    assert [int(each.pred_label) for each in found] == list(range(10))
    assert float(loss.detach()) < 0.1
