"""The second toolbox as it is published: its real wheel, under all its names, alone and beside the first one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tiny_wheels import write_ops_wheel

from mimctl.plugin.discover import discover
from mimctl.site.build import SiteSources, build_site

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of mimctl-cls from this repository."""
    builders = pytest.importorskip("hatchling.builders.wheel")
    folder = tmp_path_factory.mktemp("cls")
    return Path(next(builders.WheelBuilder(str(ROOT / "plugins/cls")).build(directory=str(folder))))


@pytest.fixture
def two(uv_bench, wheel, tmp_path):
    """Return a target beside an index of both toolboxes, made from the project's own list of them."""
    others = [each for each in uv_bench.site.wheels.iterdir() if not each.name.startswith("mimctl_ops")]
    wheels = [wheel, *others, write_ops_wheel(tmp_path / "ops", "cpu"), write_ops_wheel(tmp_path / "ops", "python")]
    lists = {"toolboxes": ROOT / "index/toolboxes.yaml", "zoo": ROOT / "index/zoo"}
    report = build_site(SiteSources(wheels=wheels, matrix=ROOT / "wheels-matrix.yaml", **lists), tmp_path / "built")
    uv_bench.public.add_torch(f"{report.torch_verified}+cpu")
    uv_bench.site.url = str(tmp_path / "built")
    return uv_bench


def test_wheel_holds_all_that_a_toolbox_is_made_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(each).decode() for each in names if each.endswith(".dist-info/METADATA"))
    source = ROOT / "plugins/cls/mimctl_cls"
    wanted = {
        f"mimctl_cls/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.suffix in (".py", ".toml", ".json", ".txt")
    }
    assert {"mimctl_cls/plugin.toml", "mimctl_cls/types.json", "mimctl_cls/configs/lenet/lenet5_mnist.py"} <= wanted
    assert wanted <= names
    needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert needs == ["Requires-Dist: mimctl[engine]==0.1.0"]


def test_it_is_installed_under_every_name_and_without_operators(two):
    brought = {change.name for change in two.install("cls").changes}
    assert brought == {"mimctl", "mimctl-cls", "numpy", "opencv-python-headless", "pillow", "torch"}
    for name in ("cls", "mmcls", "mmpretrain", "mmclassification", "MMPretrain", "mimctl-cls"):
        assert two.plan(name).nothing_to_do, name


def test_two_toolboxes_stand_side_by_side(two):
    two.install("cls")
    added = {change.name for change in two.install("det").changes}
    assert added == {"mimctl-det", "mimctl-ops"}
    assert two.plan("mmdet", "mmpretrain").nothing_to_do
    (found,) = discover([two.env.paths.purelib])  # the other wheel is a small one without an entry point
    assert found.manifest.scopes == ("mmcls", "mmpretrain")
    assert (found.configs_dir / "resnet/resnet18_8xb32_in1k.py").is_file()


def test_the_index_says_which_models_there_are(two):
    listed = two.client().zoo("cls")["models"]
    assert sum(each["buildable"] for each in listed) > 40
