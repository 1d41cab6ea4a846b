"""Transforms to tensors and to grey, and the views of a sample at test time."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mimctl.engine.data.draws import avoid_cache_randomness, cache_randomness
from mimctl.errors import ConfigError
from mimctl.vision import ImageToTensor, MultiScaleFlipAug, RandomGrayscale, ToTensor, to_tensor

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32([1, 2]), torch.tensor([1.0, 2.0])),
        ([1, 2], torch.tensor([1, 2])),
        (3, torch.tensor([3])),
        (0.5, torch.tensor([0.5])),
    ],
)
def test_numbers_become_tensors(value: Any, expected: torch.Tensor) -> None:
    found = to_tensor(value)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


def test_text_becomes_no_tensor() -> None:
    with pytest.raises(TypeError, match="str"):
        to_tensor("three")


def test_values_and_images_of_a_sample_become_tensors() -> None:
    sample = ToTensor(["a", "deep.b"])({"a": 1, "deep": {"b": [1.0]}})
    assert (sample["a"].tolist(), sample["deep"]["b"].tolist()) == ([1], [1.0])
    image = ImageToTensor(["img"])({"img": IMAGE})["img"]
    assert (image.shape, image[2, 5, 7]) == ((3, 12, 10), IMAGE[5, 7, 2])
    assert ImageToTensor(["img"])({"img": IMAGE[..., 0]})["img"].shape == (1, 12, 10)


def test_grey_is_the_weighted_mean() -> None:
    weights = np.array([1, 2, 3]) / 6
    grey = RandomGrayscale(prob=1.0, channel_weights=(1, 2, 3))({"img": IMAGE})["img"]
    assert np.array_equal(grey, (IMAGE @ weights).astype(np.uint8))
    kept = RandomGrayscale(prob=1.0, keep_channels=True)({"img": IMAGE})["img"]
    assert kept.shape == IMAGE.shape
    assert np.array_equal(kept[..., 0], kept[..., 2])
    assert np.array_equal(RandomGrayscale(prob=0.0)({"img": IMAGE})["img"], IMAGE)
    hsv = RandomGrayscale(prob=0.0, color_format="hsv")({"img": cv2.cvtColor(IMAGE, cv2.COLOR_BGR2HSV)})["img"]
    assert np.abs(hsv.astype(int) - IMAGE).mean() < 3
    with pytest.raises(ConfigError, match="probability"):
        RandomGrayscale(prob=2.0)
    with pytest.raises(ConfigError, match="lab"):
        RandomGrayscale(color_format="lab")
    with pytest.raises(ValueError, match="2 weights for 3 channels"):
        RandomGrayscale(prob=1.0, channel_weights=(1, 1))({"img": IMAGE})


def pack(results: dict[str, Any]) -> dict[str, Any]:
    """Return a packed sample."""
    return {"inputs": results["img"], "data_sample": results["flip_direction"] if results["flip"] else "as it is"}


@pytest.mark.parametrize(
    ("options", "sizes", "flips"),
    [
        ({"scales": [(20, 24), (10, 12)]}, [(24, 20), (12, 10)], ["as it is"] * 2),
        ({"scales": (20, 24)}, [(24, 20)], ["as it is"]),
        (
            {"scale_factor": [1.0, 2.0], "allow_flip": True},
            [(12, 10), (12, 10), (24, 20), (24, 20)],
            ["as it is", "horizontal"] * 2,
        ),
        (
            {"allow_flip": True, "flip_direction": ["horizontal", "vertical"]},
            [(12, 10)] * 3,
            ["as it is", "horizontal", "vertical"],
        ),
    ],
)
def test_sample_is_seen_at_scales_and_flipped(
    options: dict[str, Any], sizes: list[tuple[int, int]], flips: list[str]
) -> None:
    seen = MultiScaleFlipAug([pack], **options)({"img": IMAGE, "img_shape": IMAGE.shape[:2]})
    assert [each.shape[:2] for each in seen["inputs"]] == sizes
    assert seen["data_sample"] == flips
    if "vertical" in flips:
        assert np.array_equal(seen["inputs"][2], IMAGE[::-1])


def test_sizes_are_given_one_way() -> None:
    with pytest.raises(ConfigError, match="not both"):
        MultiScaleFlipAug([pack], scales=(2, 2), scale_factor=1.0)


def test_marks_change_nothing() -> None:
    @avoid_cache_randomness
    class Marked:
        @cache_randomness
        def draw(self) -> int:
            return 3

    assert Marked().draw() == 3
