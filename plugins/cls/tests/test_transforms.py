"""Transforms of classification: the numbers that mmpretrain 1.2.0 and mmcv 2.1.0 give, and their edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.engine.data import Compose
from mimctl.engine.data.randomness import SampleIndex
from mimctl.engine.lookup.scopes import use_scope
from mimctl.errors import ConfigError
from mimctl_cls.datasets import CustomDataset
from mimctl_cls.transforms import PackInputs, RandomCrop, RandomResizedCrop, ResizeEdge


def picture(height: int, width: int) -> np.ndarray[Any, Any]:
    return np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3).astype(np.uint8)


@pytest.mark.parametrize(
    ("edge", "size", "expected"),
    [
        ("short", (50, 30), (426, 256)),
        ("short", (30, 50), (256, 426)),
        ("short", (30, 30), (256, 256)),
        ("long", (50, 30), (256, 153)),
        ("long", (30, 50), (153, 256)),
        ("width", (50, 30), (256, 153)),
        ("height", (50, 30), (426, 256)),
    ],
)
def test_resize_edge(edge: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    out = ResizeEdge(scale=256, edge=edge)({"img": picture(size[1], size[0])})
    assert out["scale"] == expected
    assert out["img"].shape == (expected[1], expected[0], 3)
    assert out["img_shape"] == (expected[1], expected[0])
    assert out["scale_factor"] == (expected[0] / size[0], expected[1] / size[1])
    assert np.array_equal(out["img"], cv2.resize(picture(size[1], size[0]), expected, interpolation=cv2.INTER_LINEAR))


def test_resize_edge_keeps_a_pixel_of_a_very_long_picture_and_refuses_other_edges() -> None:
    assert ResizeEdge(4, edge="long")({"img": picture(1, 100)})["img"].shape == (1, 4, 3)
    with pytest.raises(ConfigError, match="unknown edge `shortest`"):
        ResizeEdge(4, edge="shortest")


def test_random_crop_draws_the_window_of_the_field() -> None:
    np.random.seed(0)
    crop = RandomCrop(crop_size=(4, 6))
    assert [crop.random_window((10, 20)) for _ in range(3)] == [(4, 5, 4, 6), (0, 3, 4, 6), (3, 3, 4, 6)]
    assert crop.random_window((4, 6)) == (0, 0, 4, 6)
    assert crop.random_window((3, 20))[2:] == (3, 6)


@pytest.mark.parametrize(("padding", "shape"), [(4, (18, 28)), ((1, 2), (14, 22)), ((1, 2, 3, 4), (16, 24))])
def test_random_crop_pads_first(padding: Any, shape: tuple[int, int]) -> None:
    out = RandomCrop(crop_size=shape, padding=padding, pad_val=7)({"img": picture(10, 20)})
    assert out["img"].shape == (*shape, 3)
    left, top = (padding[0], padding[1]) if isinstance(padding, tuple) else (padding, padding)
    assert np.array_equal(out["img"][top : top + 10, left : left + 20], picture(10, 20))
    assert (out["img"][:top] == 7).all()
    assert (out["img"][:, :left] == 7).all()


def test_random_crop_pads_on_both_sides_where_needed() -> None:
    grey = np.ones((3, 9), np.uint8)
    out = RandomCrop(crop_size=6, pad_if_needed=True)({"img": grey})["img"]
    assert out.shape == (6, 6)
    kinds = {"edge": [1, 1, 1, 2, 3, 3, 3], "reflect": [3, 2, 1, 2, 3, 2, 1], "symmetric": [2, 1, 1, 2, 3, 3, 2]}
    for mode, row in kinds.items():
        image = np.array([[1, 2, 3]] * 7, np.uint8)
        out = RandomCrop(crop_size=7, pad_if_needed=True, padding_mode=mode)({"img": image})["img"]
        assert out[3].tolist() == row
    assert RandomCrop(crop_size=32)({"img": grey})["img"].shape == (3, 9)


@pytest.mark.parametrize(
    "arguments",
    [
        {"crop_size": 0},
        {"crop_size": (2, 3, 4)},
        {"crop_size": 2, "padding": (1, 2, 3)},
        {"crop_size": 2, "padding": -1},
        {"crop_size": 2, "padding_mode": "mirror"},
    ],
)
def test_random_crop_refuses_senseless_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RandomCrop(**arguments)


def test_random_resized_crop_draws_the_windows_of_the_field() -> None:
    np.random.seed(0)
    crop = RandomResizedCrop(224)
    windows = [(3, 103, 293, 332), (36, 87, 268, 292), (46, 88, 247, 292), (72, 9, 246, 299)]
    assert [crop.random_window((333, 500)) for _ in range(4)] == windows


def test_random_resized_crop_takes_the_middle_where_nothing_fits() -> None:
    crop = RandomResizedCrop(8, max_attempts=0)
    assert crop.random_window((100, 200)) == (0, 33, 100, 133)
    assert crop.random_window((200, 100)) == (33, 0, 133, 100)
    assert crop.random_window((100, 110)) == (0, 0, 100, 110)
    assert RandomResizedCrop((6, 8))({"img": picture(50, 70)})["img"].shape == (6, 8, 3)


@settings(max_examples=200, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_random_windows_lie_inside(height: int, width: int, seed: int) -> None:
    np.random.seed(seed)
    for crop in (RandomResizedCrop(8), RandomCrop((20, 30))):
        top, left, tall, wide = crop.random_window((height, width))
        assert 0 <= top < top + tall <= height
        assert 0 <= left < left + wide <= width


def test_share_and_ratio_of_windows_are_as_asked() -> None:
    np.random.seed(1)
    crop = RandomResizedCrop(8, crop_ratio_range=(0.2, 0.5), aspect_ratio_range=(0.5, 2.0))
    windows = [crop.random_window((400, 400)) for _ in range(2000)]
    shares = np.array([tall * wide / 160000 for _, _, tall, wide in windows])
    ratios = np.array([wide / tall for _, _, tall, wide in windows])
    assert shares.min() > 0.195
    assert shares.max() < 0.505
    assert abs(shares.mean() - 0.35) < 0.01
    assert ratios.min() > 0.49
    assert ratios.max() < 2.02
    assert abs(np.log(ratios).mean()) < 0.03
    for wrong in ({"crop_ratio_range": (1, 0.1)}, {"aspect_ratio_range": (0, 1)}, {"interpolation": "cubic"}):
        with pytest.raises(ConfigError):
            RandomResizedCrop(8, **wrong)


def test_pack_inputs() -> None:
    results = {"img": picture(2, 4), "gt_label": 3, "sample_idx": 5, "img_path": "a.png", "flip": False, "mine": [1, 2]}
    packed = PackInputs(algorithm_keys=("mine", "absent"))(results)
    assert packed["inputs"].dtype == torch.uint8
    assert packed["inputs"].is_contiguous()
    assert packed["inputs"][:, 0, 1].tolist() == [3, 4, 5]
    sample = packed["data_samples"]
    assert sample.gt_label.tolist() == [3]
    assert sample.mine == [1, 2]
    assert sample.metainfo == {"sample_idx": 5, "img_path": "a.png", "flip": False}
    several = PackInputs(input_key="other")(
        {"img": picture(2, 4), "gt_label": [0, 2], "gt_score": np.array([0.5, 0.5])}
    )
    assert "inputs" not in several
    assert several["data_samples"].gt_label.tolist() == [0, 2]
    assert several["data_samples"].gt_score.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("image", [picture(2, 4)[..., 0], picture(2, 4)[..., :1], picture(2, 4)[::-1, ::-1]])
def test_pack_inputs_takes_grey_and_mirrored_pictures(image: np.ndarray[Any, Any]) -> None:
    planes = image[..., None] if image.ndim == 2 else image
    packed = PackInputs()({"img": image})["inputs"]
    assert torch.equal(packed, torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1))))


def test_a_sample_is_drawn_by_its_seed_alone(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8))
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "RandomResizedCrop", "scale": 16},
        {"type": "RandomCrop", "crop_size": 16, "padding": 3},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PackInputs"},
    ]
    with use_scope("cls"):
        dataset = CustomDataset(data_root=str(tmp_path), pipeline=steps)
    draws = [dataset[SampleIndex(1, seed=4, epoch=2, position=9)]["inputs"] for _ in range(2)]
    other = [dataset[SampleIndex(1, seed=4, epoch=2, position=each)]["inputs"] for each in range(4)]
    assert torch.equal(*draws)
    assert len({each.numpy().tobytes() for each in other}) == 4


def test_imagenets_test_pipeline_runs_unmodified(test_data: Path) -> None:
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "ResizeEdge", "scale": 256, "edge": "short"},
        {"type": "CenterCrop", "crop_size": 224},
        {"type": "PackInputs"},
    ]
    with use_scope("mmpretrain"):
        packed = Compose(steps)({"img_path": str(test_data / "mmpretrain/demo/dog.jpg")})
    assert packed["inputs"].shape == (3, 224, 224)
    assert packed["data_samples"].img_shape == (224, 224)
