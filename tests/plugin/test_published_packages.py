"""The published wheels of mmdet 3.3.0 and mmpretrain 1.2.0, installed as they are.

`MIMCTL_TEST_CONFIGS` names the wheels, or folders that hold them, separated as in PATH.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mim_package import install, make_venv

from mimctl.launch.scripts.needs import imports_of
from mimctl.launch.scripts.programs import find_program, list_programs
from mimctl.plugin.configs import find_config, list_configs
from mimctl.plugin.mim import MimPackage, find_packages
from mimctl.plugin.mim_needs import Surroundings, find_lacks, read_requirements
from mimctl.zoo.metafile import ModelFacts, read_models
from mimctl.zoo.package import PackageZoo
from mimctl.zoo.rows import row_of_facts
from mimctl.zoo.search import Query, search


def wheels() -> Iterator[Path]:
    """Yield the wheels that are named."""
    for each in filter(None, os.environ.get("MIMCTL_TEST_CONFIGS", "").split(os.pathsep)):
        yield from [Path(each)] if each.endswith(".whl") else sorted(Path(each).glob("mm*.whl"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, MimPackage]:
    """Install both wheels into a real environment."""
    found = [path for path in wheels() if path.name.startswith(("mmdet-3.3.0", "mmpretrain-1.2.0"))]
    if len(found) < 2:
        pytest.skip("MIMCTL_TEST_CONFIGS names no wheels of mmdet 3.3.0 and mmpretrain 1.2.0")
    python = make_venv(tmp_path_factory.mktemp("published") / "venv")
    install(python, *found)
    site = next(python.parent.parent.glob("lib/python3*/site-packages"))
    return {each.name: each for each in find_packages([site]) if isinstance(each, MimPackage)}


@pytest.fixture(scope="module")
def facts(packages: dict[str, MimPackage]) -> dict[str, ModelFacts]:
    """Read their metafiles."""
    return {name: read_models(each.root, cache_dir=None) for name, each in packages.items()}


def test_all_models_are_read(facts: dict[str, ModelFacts]) -> None:
    assert {name: len(each.models) for name, each in facts.items()} == {"mmdet": 583, "mmpretrain": 548}
    assert all(each.problems == () for each in facts.values())


def test_they_are_searched_as_people_do(facts: dict[str, ModelFacts]) -> None:
    rows = {name: [row_of_facts(model, name) for model in each.models] for name, each in facts.items()}
    rtmdet = search(rows["mmdet"], Query(models=("rtmdet",), conditions=("box_ap>52",), sort=("box_ap",)))
    assert next((row.id, row.value("coco/box_ap")) for row in rtmdet.rows) == ("rtmdet_l_swin_b_4xb32-100e_coco", 52.4)
    small = search(rows["mmpretrain"], Query(conditions=("params<3M, top-1>70",), sort=("flops",)))
    assert small.rows and all(row.value("parameters") < 3e6 for row in small.rows)
    batches = search(rows["mmpretrain"], Query(conditions=("128<batch_size<=256",)))
    assert {row.value("batch_size") for row in batches.rows} == {256}


def test_nearly_every_model_is_an_entry_with_config_and_checked_weights(
    packages: dict[str, MimPackage], tmp_path: Path
) -> None:
    from mimctl.zoo.document import parse_zoo

    for name, package in packages.items():
        models = parse_zoo(PackageZoo(package, cache_dir=tmp_path).zoo(name)).models
        assert len(models) > 540
        assert sum(each.config is not None for each in models) > 0.95 * len(models)
        weights = [each.weights for each in models if each.weights is not None]
        assert sum(each.sha8 is not None for each in weights) > 0.95 * len(weights)


def test_configs_and_scripts_are_found_by_name(packages: dict[str, MimPackage]) -> None:
    mmdet = packages["mmdet"]
    assert len(list(list_configs(mmdet))) > 800
    assert find_config("rtmdet_s", mmdet).name == "rtmdet_s_8xb32-300e_coco.py"
    assert Path(find_program(mmdet, "get_flops", ()).target).parent.name == "analysis_tools"
    assert Path(find_program(mmdet, "mot:browse_dataset", ()).target).parent.name == "mot"
    assert {"train", "test", "analysis_tools:get_flops"} <= set(list_programs(mmdet, ()))
    assert imports_of(mmdet.root / "tools" / "train.py") == {"mmdet", "mmengine"}


def test_beside_a_torch_of_today_mmcv_is_what_is_missing(packages: dict[str, MimPackage]) -> None:
    place = Surroundings(installed={"mmengine": "0.10.7"}, python="3.11", torch="2.13.0+cpu")
    first = {name: find_lacks(read_requirements(each), place)[0] for name, each in packages.items()}
    assert first["mmdet"].reason.startswith("needs mmcv<2.2.0,>=2.0.0rc4, which is not installed; it has no build for")
    assert first["mmdet"].reason.endswith("(the last is for torch 2.1, Python 3.11)")
    assert first["mmpretrain"].reason.endswith("(the last is for torch 2.4, Python 3.11)")
