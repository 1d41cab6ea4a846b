"""Thousands of configs in one process: memory stays where it was, and threads do not disturb each other."""

from __future__ import annotations

import gc
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mimctl.config import Config

Put = Callable[[str, str], Path]

BASE = "lr = 0.1\nmodel = dict(backbone=dict(depth=50, stages=[dict(n=i) for i in range(20)]))\n"


@pytest.fixture
def family(put: Put) -> list[Path]:
    """Return 60 configs on 60 bases of their own, in three formats and in the pure-Python style."""
    put("shared.py", "epochs = 3\ntrain_cfg = dict(epochs=epochs)")
    paths = []
    for number in range(60):
        put(f"base{number}.py", BASE + f"name = 'base {number}'")
        head = f"_base_ = ['base{number}.py', 'shared.py']\n"
        lazy = f"with read_base():\n    from .base{number} import *\n    from .shared import *\n"
        kind = number % 3
        if kind == 0:
            paths.append(put(f"child{number}.py", head + f"model = dict(backbone=dict(depth={number}))\nsame = '\\d'"))
        elif kind == 1:
            paths.append(put(f"child{number}.py", lazy + f"model.backbone.depth = {number}"))
        else:
            text = f"_base_: [base{number}.py, shared.py]\nmodel: {{backbone: {{depth: {number}}}}}"
            paths.append(put(f"child{number}.yaml", text))
    return paths


def check(path: Path) -> None:
    number = int("".join(filter(str.isdigit, path.stem)))
    config = Config.fromfile(path, overrides={"model.backbone.stages.0.n": number})
    assert config.model.backbone.depth == config.model.backbone.stages[0].n == number
    assert config.name == f"base {number}"
    assert config.train_cfg.epochs == 3
    config.model.clear()  # whoever is given a config may do with it what they like
    config.merge_from_dict({"epochs": number})
    assert config.train_cfg.epochs == number
    assert Config.fromstring("a = dict(b=[1])").a.b == [1]


def test_memory_does_not_grow_with_the_configs_that_were_read(family: list[Path]) -> None:
    def read_all(times: int) -> tuple[int, int]:
        for _ in range(times):
            for path in family:
                check(path)
        gc.collect()
        return sys.getallocatedblocks(), len(gc.get_objects())

    blocks_before, objects_before = read_all(3)
    blocks_after, objects_after = read_all(20)
    num_read = 20 * len(family) * 3
    assert num_read > 3000
    assert blocks_after - blocks_before < 1000, f"{num_read} configs left {blocks_after - blocks_before} blocks"
    assert objects_after - objects_before < 500


def test_a_config_leaves_no_circles_behind(family: list[Path]) -> None:
    check(family[0])
    gc.collect()
    gc.disable()
    try:
        for path in family[:9]:
            Config.fromfile(path)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_is_held_of_bases_is_bounded(put: Put) -> None:
    from mimctl.config.files.cache import CACHE

    for number in range(CACHE.limit + 20):
        put(f"base{number}.py", f"a = {number}")
        assert Config.fromfile(put("child.py", f"_base_ = 'base{number}.py'")).a == number
    assert len(CACHE.held) == CACHE.limit


def test_threads_read_at_once(family: list[Path]) -> None:
    filters = list(warnings.filters)
    start = threading.Barrier(4)

    def read(offset: int) -> int:
        start.wait()
        for _ in range(3):
            for path in family[offset:] + family[:offset]:
                check(path)
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(read, (0, 0, 20, 40))) == 4
    assert warnings.filters == filters


def test_threads_that_crowd_the_cache_out_do_not_disturb_each_other(put: Put) -> None:
    from mimctl.config.files.cache import BaseCache, Loaded
    from mimctl.config.values import ConfigDict

    cache = BaseCache(limit=2)
    loaded = Loaded(data=ConfigDict())
    failures: list[BaseException] = []

    def crowd(seed: int) -> None:
        try:
            for number in range(3000):
                cache.put(f"{(number * seed) % 5}", loaded)
                cache.get(f"{number % 5}")
        except BaseException as err:
            failures.append(err)

    threads = [threading.Thread(target=crowd, args=(seed,)) for seed in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cache.held) <= 2
