"""Combining transforms: in turn, by chance, on other keys, on several inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mimctl.engine.data import Compose, KeyMapper, RandomApply, RandomChoice, TransformBroadcaster
from mimctl.errors import ConfigError


def add(amount: int, key: str = "x") -> Any:
    return lambda sample: {**sample, key: sample[key] + amount}


def test_compose_runs_in_turn_and_stops_at_none() -> None:
    assert Compose([add(1), add(2)])({"x": 0}) == {"x": 3}
    assert Compose([lambda sample: None, add(1)])({"x": 0}) is None
    assert Compose([{"type": "Compose", "transforms": [add(5)]}])({"x": 0}) == {"x": 5}


def test_compose_refuses_what_is_no_transform() -> None:
    with pytest.raises(ConfigError, match="callable"):
        Compose([3])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="unknown transform `Compos`") as caught:
        Compose([{"type": "Compos"}])
    assert "Compose" in caught.value.hints[0]


def test_random_choice_follows_its_probabilities() -> None:
    np.random.seed(0)
    choice = RandomChoice([[add(1)], [add(10), add(10)]], prob=[0.25, 0.75])
    drawn = [choice({"x": 0})["x"] for _ in range(400)]
    assert set(drawn) == {1, 20}
    assert 0.65 < drawn.count(20) / 400 < 0.85
    with pytest.raises(ConfigError):
        RandomChoice([[add(1)]], prob=[0.5])


def test_random_apply_at_the_ends() -> None:
    assert RandomApply([add(1)], prob=1.0)({"x": 0}) == {"x": 1}
    assert RandomApply([add(1)], prob=0.0)({"x": 0}) == {"x": 0}
    with pytest.raises(ConfigError):
        RandomApply([add(1)], prob=1.5)


def test_key_mapper_reads_and_writes_other_keys() -> None:
    mapper = KeyMapper([add(1)], mapping={"x": "gt"}, auto_remap=True)
    assert mapper({"gt": 4, "x": 0}) == {"gt": 5, "x": 0}


def test_broadcaster_shares_random_numbers_where_asked() -> None:
    def jitter(sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "img": sample["img"] + np.random.rand()}

    shared = TransformBroadcaster([jitter], mapping={"img": ["a", "b"]}, auto_remap=True, share_random_params=True)
    result = shared({"a": 0.0, "b": 0.0})
    assert result["a"] == result["b"] != 0
    own = TransformBroadcaster([jitter], mapping={"img": ["a", "b"]}, auto_remap=True)
    result = own({"a": 0.0, "b": 0.0})
    assert result["a"] != result["b"]
