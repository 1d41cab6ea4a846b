"""Image files and arrays become what a model was trained on, whatever its training data were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mimctl.config import Config
from mimctl.engine.infer import inference_pipelines, init_model
from mimctl_cls.apis import draw_rows, to_rows
from mimctl_cls.structures import DataSample


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:] = (10, 20, 200)  # red, as OpenCV has it
    cv2.imwrite(str(tmp_path / "red.png"), image)
    return tmp_path / "red.png"


@pytest.mark.parametrize(
    ("name", "shape", "first"),
    [
        ("resnet/resnet18_8xb32_in1k.py", (3, 224, 224), [10, 20, 200]),
        ("resnet/resnet18_8xb16_cifar10.py", (3, 40, 60), [200, 20, 10]),
        ("lenet/lenet5_mnist.py", (1, 32, 32), [73]),
    ],
)
def test_files_and_arrays_come_in_the_channels_of_training(
    own_config: Callable[[str], Config], picture: Path, name: str, shape: tuple[int, ...], first: list[int]
) -> None:
    from_file, from_array = inference_pipelines(own_config(name))
    by_file = from_file({"img_path": str(picture)})["inputs"]
    by_array = from_array({"img": cv2.imread(str(picture))})["inputs"]
    assert by_file.shape == shape
    assert by_file[:, 0, 0].tolist() == pytest.approx(first, abs=1)
    assert (by_file.int() - by_array.int()).abs().max() <= 1  # decoders round grey in their own ways


def test_preprocessing_at_the_top_of_a_config_reaches_the_model(own_config: Callable[[str], Config]) -> None:
    model: Any = init_model(own_config("lenet/lenet5_mnist.py"))
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx([33.46])


def test_class_names_of_old_checkpoints_are_found(own_config: Callable[[str], Config], tmp_path: Path) -> None:
    model: Any = init_model(own_config("lenet/lenet5_mnist.py"))
    names = tuple("abcdefghij")
    torch.save({"state_dict": model.state_dict(), "meta": {"CLASSES": names}}, tmp_path / "old.pth")
    found: Any = init_model(own_config("lenet/lenet5_mnist.py"), tmp_path / "old.pth")
    assert tuple(found.dataset_meta["classes"]) == names


def test_rows_are_the_best_classes_first() -> None:
    sample = DataSample().set_pred_score(torch.tensor([0.1, 0.6, 0.1, 0.2]))
    rows = to_rows(sample, ("a", "b"), topk=3)
    assert rows == [
        {"label": "b", "class": 1, "score": 0.6},
        {"label": "3", "class": 3, "score": 0.2},
        {"label": "a", "class": 0, "score": 0.1},
    ]
    assert [row["label"] for row in to_rows(sample, ("a", "b"), score_thr=0.15)] == ["b", "3"]


def test_labels_are_written_into_the_corner_of_a_picture_large_enough_to_read() -> None:
    tiny = np.full((28, 28, 3), 90, np.uint8)
    drawn = draw_rows(tiny, [{"label": "cat", "score": 0.5}])
    assert drawn.shape == (168, 168, 3)
    assert (drawn[100:] == 90).all()
    assert drawn[:40].max() > 240
    assert (draw_rows(np.zeros((200, 300, 3), np.uint8), []) == 0).all()
