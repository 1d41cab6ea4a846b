"""Every published config evaluates to what OpenMMLab's own loader makes of it.

`MIMCTL_TEST_CONFIGS` names the wheels (mmdet 3.3.0, mmpretrain 1.2.0) or their folders, separated as in PATH:
`pip download --no-deps mmdet==3.3.0 mmpretrain==1.2.0`. The pure-Python configs are in no wheel: a folder may also be
that of a repository, which has them in `mmdet/configs` or `mmpretrain/configs`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config, LazyReference, recipe
from mimctl.errors import ConfigError

PACKAGES = ("mmdet", "mmpretrain")


@pytest.fixture(scope="session")
def pure_python_sources(sources: dict[str, Path]) -> dict[str, Path]:
    """Return package → folder of its pure-Python configs, in a repository or a wheel that the environment names."""
    given = [Path(each) for each in os.environ["MIMCTL_TEST_CONFIGS"].split(os.pathsep)]
    unpacked = [folder.parents[2] for folder in sources.values()]
    places = {package: [root / package / "configs" for root in (*given, *unpacked)] for package in PACKAGES}
    return {package: found for package in PACKAGES for found in places[package] if found.is_dir()}


def canonical(value: Any) -> Any:
    """Return a value as the reference writes it."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else f"${type(key).__name__}:{key}": canonical(value[key]) for key in value}
    if isinstance(value, tuple):
        return {"$tuple": [canonical(item) for item in value]}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return {"$lazy": str(value)} if isinstance(value, LazyReference) else value


def expected(archive: Path) -> dict[str, dict[str, Any]]:
    """Return config path → its values; names that are imports or functions are no values."""
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            stream = opened.extractfile(member)
            if stream is not None:
                values = json.load(stream)
                found[member.name.removesuffix(".json")] = {
                    key: value for key, value in values.items() if is_value(value)
                }
    return found


def is_value(value: Any) -> bool:
    return not (isinstance(value, dict) and value and set(value) <= {"$lazy", "$object"})


@pytest.mark.parametrize("package", PACKAGES)
def test_every_published_config_equals_the_reference(
    package: str, sources: dict[str, Path], test_reference: Path
) -> None:
    def search(name: str) -> Path:
        toolbox, _, inner = name.partition("::")
        return sources[toolbox] / inner

    wanted = expected(test_reference / "configs" / f"{package}.tar.gz")
    assert len(wanted) > 800
    different, spent = [], 0.0
    for path, values in wanted.items():
        start = time.process_time()
        config = Config.fromfile(sources[package] / path, search=search)
        spent += time.process_time() - start
        if canonical(config.to_dict()) != values:
            different.append(path)
    assert different == []
    assert spent / len(wanted) < 0.0055, "half of what the reference takes on an idle core is far too slow"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_published_pure_python_config_equals_the_reference(
    package: str, pure_python_sources: dict[str, Path], test_reference: Path
) -> None:
    if package not in pure_python_sources:
        pytest.skip(f"MIMCTL_TEST_CONFIGS names no repository with {package}/configs")
    root = pure_python_sources[package]
    wanted = expected(test_reference / "configs" / f"{package}-lazy.tar.gz")
    present = [path for path in wanted if (root / path).is_file()]
    assert present, f"none of the {len(wanted)} configs is in {root}"
    assert [path for path in present if read(root / path) != wanted[path]] == []


def read(path: Path) -> Any:
    try:
        return canonical(Config.fromfile(path).to_dict())
    except ConfigError as err:
        return str(err)


def test_an_override_of_the_pipeline_reaches_the_data_loader_built_from_it(sources: dict[str, Path]) -> None:
    wanted = [{"type": "Marker"}]
    num_built = 0
    for path in sorted(sources["mmdet"].rglob("*.py"))[::15]:
        try:
            plain = Config.fromfile(path)
        except ConfigError:
            continue
        if "train_pipeline" not in plain or pipeline_of(plain) != plain.train_pipeline:
            continue
        num_built += 1
        config = Config.fromfile(path, overrides={"train_pipeline": wanted})
        assert pipeline_of(config) == wanted, path
        assert config.idle == ()
    assert num_built > 20


def pipeline_of(config: Config) -> Any:
    """Return the pipeline of the innermost dataset of the training loader."""
    holder = config.get("train_dataloader") or {}
    while "pipeline" not in holder and isinstance(holder.get("dataset"), dict):
        holder = holder["dataset"]
    return holder.get("pipeline")


def test_reading_all_of_them_imports_nothing_but_ourselves(sources: dict[str, Path]) -> None:
    script = """
import sys
from pathlib import Path
from mimctl.config import Config
from mimctl.errors import ConfigError
num_read = 0
for root in sys.argv[1:]:
    for path in Path(root).rglob("*.py"):
        try:
            Config.fromfile(path)
            num_read += 1
        except ConfigError:
            pass
own = {name.partition(".")[0] for name in sys.modules} - {*sys.stdlib_module_names, "__main__"}
print(num_read > 1500, sorted(each for each in own if not each.startswith(("_", "sitecustomize"))))
"""
    argv = [sys.executable, "-S", "-c", script, *(str(sources[package]) for package in PACKAGES)]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(argv, env={"PYTHONPATH": root}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True ['mimctl']"


def test_dumped_published_configs_load_back_equal(sources: dict[str, Path]) -> None:
    paths = sorted((sources["mmdet"]).glob("*/*_coco.py"))[::7]
    assert len(paths) > 50
    for path in paths:
        config = Config.fromfile(path)
        assert Config.fromstring(config.pretty_text) == config, path


@pytest.mark.parametrize(
    ("path", "num_heads"),
    [
        ("rtmdet/rtmdet_s_8xb32-300e_coco.py", 1),
        ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", 1),
        ("cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py", 3),
        ("yolox/yolox_s_8xb8-300e_coco.py", 1),
        ("pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py", 1),
    ],
)
def test_recipes_fit_published_configs(path: str, num_heads: int, sources: dict[str, Path]) -> None:
    config = Config.fromfile(sources["mmdet"] / path)
    old_epochs = config.train_cfg.max_epochs
    split = {"dataset_type": "CocoDataset", "data_root": "/d", "ann_file": "a.json", "data_prefix": {"img": ""}}
    facts = recipe.DatasetFacts(layout="coco", classes=("a", "b"), splits={"train": split, "val": split})
    for change, value in (
        (recipe.apply_dataset, facts),
        (recipe.set_epochs, 30),
        (recipe.set_batch, 2),
        (recipe.set_image_size, 320),
        (recipe.set_lr, 0.001),
    ):
        config.merge_from_dict(change(config, value))
    text = config.pretty_text
    assert text.count("num_classes=2") == num_heads
    assert "num_classes=80" not in text
    assert "data/coco" not in text
    assert "640, 640" not in text.replace("scale=(640, 640)", "")
    assert "1333" not in text
    assert f"epochs={old_epochs}" not in text
    assert "switch_epoch=280" not in text
