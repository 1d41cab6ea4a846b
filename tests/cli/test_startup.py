"""Start-up budgets, counted in loaded modules: the deterministic twin of CPU time."""

from __future__ import annotations

import sys

import pytest
from toy_toolbox import install_toolbox, loaded_modules

from mimctl.index.cache import DocumentCache, Kept


@pytest.fixture
def own(environment):
    """The usual case: mimctl lives in the environment that it works on."""
    return {**environment, "MIMCTL_PYTHON": sys.executable}


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        (["--version"], 75),
        ([], 135),
        (["--help"], 135),
        (["list", "--help"], 135),
        (["install", "--help"], 135),
        (["train", "--help"], 135),
        (["infer", "--help"], 135),
        (["run", "--help"], 135),
        (["settings", "--help"], 135),
        (["instal", "det"], 135),
        (["list", "--jsn"], 135),
        (["train"], 135),
        (["list", "--json"], 180),
        (["settings", "show"], 180),
        (["env"], 180),
    ],
    ids=lambda value: " ".join(value) or "alone" if isinstance(value, list) else str(value),
)
def test_start_up_stays_within_its_budget_of_modules(own, site, tmp_path, arguments, most):
    install_toolbox(site, "toy")
    assert loaded_modules(arguments, own, tmp_path) <= most


@pytest.mark.parametrize("more", [(), ("--json",), ("--offline",)], ids=str)
def test_a_search_stays_within_its_budget_of_modules(own, tmp_path, more):
    """From a folder; offline is an index on the network that was read once, which a folder in the cache stands for."""
    index = tmp_path / "index"
    (index / "zoo").mkdir(parents=True)
    (index / "zoo" / "det.json").write_text('{"schema_version": 1, "plugin": "det", "models": [{"name": "net_s"}]}')
    words = ["search", "det", "--index", str(index), *more]
    if "--offline" in more:
        address = "http://localhost:9"
        DocumentCache(tmp_path / "cache" / "index").write(
            f"{address}/zoo/det.json", Kept(body=(index / "zoo" / "det.json").read_bytes(), etag=None)
        )
        words[3] = address
    assert loaded_modules(words, {**own, "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}, tmp_path) <= 180


@pytest.mark.parametrize(
    ("typed", "position", "most"),
    [
        ("mimctl tr", "1", 135),
        ("mimctl train ", "2", 135),
        ("mimctl train --d", "2", 135),
        ("mimctl config show t", "3", 165),
        ("mimctl train toy t", "3", 165),
        ("mimctl infer toy t", "3", 185),
    ],
)
def test_completion_stays_within_its_budget_of_modules(own, site, tmp_path, typed, position, most):
    install_toolbox(site, "toy")
    words = {"_MIMCTL_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": position}
    assert loaded_modules([], {**own, **words}, tmp_path) <= most
