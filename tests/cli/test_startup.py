"""Start-up budgets, counted in loaded modules: the deterministic twin of CPU time."""

from __future__ import annotations

import pytest
from toy_toolbox import install_toolbox, loaded_modules


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
        (["settings", "--help"], 135),
        (["instal", "det"], 135),
        (["list", "--jsn"], 135),
        (["train"], 135),
        (["list", "--json"], 180),
        (["settings", "show"], 180),
    ],
    ids=lambda value: " ".join(value) or "alone" if isinstance(value, list) else str(value),
)
def test_start_up_stays_within_its_budget_of_modules(environment, site, tmp_path, arguments, most):
    install_toolbox(site, "toy")
    assert loaded_modules(arguments, environment, tmp_path) <= most


def test_completion_stays_within_its_budget_of_modules(environment, site, tmp_path):
    words = {"_MIMCTL_COMPLETE": "bash_complete", "COMP_WORDS": "mimctl tr", "COMP_CWORD": "1"}
    assert loaded_modules([], {**environment, **words}, tmp_path) <= 135
