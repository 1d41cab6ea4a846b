"""Short names of weights (`torchvision://resnet50`): what they stand for, offline, and how they are fetched."""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mimctl.config import Config
from mimctl.config.schema import RUNNER_KEYS
from mimctl.config.weight_names import FILE, all_names, find_named, is_short_name
from mimctl.errors import ConfigError, IntegrityError, MimctlError, NetworkError
from mimctl.launch.experiments.config_weights import from_scratch, remote_weights, weights_errors
from mimctl.settings import Settings
from mimctl.zoo.gather_names import gather, to_text
from mimctl.zoo.mirrors import ANY_HOST
from mimctl.zoo.weights import adopt_weights, fetch_weights, source_of

UNHASHED = "open-mmlab://mmedit/mobilenet_v2"
"""One of the three names whose file carries no hash, so that a test can serve bytes of its own."""


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("torchvision://resnet50", "resnet50-0676ba61.pth"),
        ("modelzoo://resnet50", "resnet50-0676ba61.pth"),
        ("torchvision://resnet50.imagenet1k_v1", "resnet50-0676ba61.pth"),
        ("torchvision://resnet50.imagenet1k_v2", "resnet50-11ad3fa6.pth"),
        ("torchvision://resnet50.default", "resnet50-11ad3fa6.pth"),
        ("torchvision://vit_b_16.default", "vit_b_16-c867db91.pth"),
        ("open-mmlab://detectron2/resnet50_caffe", "resnet50_msra-5891d200.pth"),
        ("openmmlab://detectron2/resnet50_caffe", "resnet50_msra-5891d200.pth"),
        ("open-mmlab://resnet50_caffe", "resnet50_caffe-788b5fa3.pth"),
        ("open-mmlab://jhu/resnet50_gn_ws", "resnet50_gn_ws-15beedd8.pth"),
        ("mmcls://mobilenet_v2", "mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth"),
    ],
)
def test_name_stands_for_the_file_that_mmengine_takes(name: str, file: str) -> None:
    assert urlsplit(find_named(name).url).path.rpartition("/")[2] == file
    source = source_of(name)
    assert source.sha8 is not None and source.sha8 in file


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("torchvision://resnet5O", "`torchvision://resnet50`"),
        ("torchvision://resnet50_gn_ws", "`open-mmlab://jhu/resnet50_gn_ws`"),
        ("mmcls://regnetx_3.2gf", "`open-mmlab://regnetx_3.2gf`"),
        ("torchvison://resnet50", "`torchvision://`"),
        ("open-mlab://resnet50", "`open-mmlab://`"),
    ],
)
def test_unknown_name_is_an_error_with_the_nearest(name: str, near: str, settings: Settings) -> None:
    with pytest.raises(ConfigError) as caught:
        fetch_weights(name, settings=settings)
    assert caught.value.code == "unknown-weights-address"
    assert near in caught.value.hints[0]


@pytest.mark.parametrize("name", ["ftp://host/resnet50.pth", "torchvision://", "pavi://a/b"])
def test_addresses_that_nobody_can_fetch_are_refused(name: str, settings: Settings) -> None:
    with pytest.raises(MimctlError) as caught:
        fetch_weights(name, settings=settings)
    assert caught.value.code == "unknown-weights-address"


def test_all_names_but_three_have_a_hash() -> None:
    without = [name for name in all_names() if not (source_of(name).sha8 or source_of(name).sha256)]
    assert without == [UNHASHED, "open-mmlab://mmedit/res34_en_nomixup", "open-mmlab://mmedit/vgg16"]
    assert len(list(all_names())) > 340


def test_file_whose_name_carries_the_hash_of_others_is_checked_by_its_own() -> None:
    source = source_of("torchvision://efficientnet_b0")
    assert "3dd342df" in source.filename
    assert source.sha256 is not None and source.sha256.startswith("7f5810bc")
    assert source_of(str(source.url)) == source, "the address itself means the same"


def _published() -> dict[str, Path]:
    given = [Path(each) for each in os.environ.get("MIMCTL_TEST_CONFIGS", "").split(os.pathsep) if each]
    wheels = [wheel for each in given for wheel in (sorted(each.glob("*.whl")) if each.is_dir() else [each])]
    return {wheel.name.partition("-")[0]: wheel for wheel in wheels}


def test_table_is_what_mmengine_makes_of_its_lists_and_torchvision() -> None:
    wheels = _published()
    if not {"mmengine", "torchvision"} <= set(wheels):
        pytest.skip("MIMCTL_TEST_CONFIGS names no wheels of mmengine 0.10.7 and torchvision 0.28.0")
    assert FILE.read_text(encoding="utf-8") == to_text(gather(wheels["mmengine"], wheels["torchvision"]))


def named_in(wheel: Path, folder: Path) -> tuple[int, Counter[str]]:
    """Return how many configs of a wheel could be read, and scheme → in how many of them; each name has an address."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if "/.mim/configs/" in name])
    named: Counter[str] = Counter()
    count = 0
    for path in sorted(folder.glob("*/.mim/configs/**/*.py")):
        try:
            config = Config.fromfile(path)
        except ConfigError:
            continue  # what is broken upstream, or built on another package, is the evaluator's matter
        count += 1
        assert [str(each) for each in weights_errors(config)] == [], path
        found = remote_weights(config)
        read = [text for key in config if key in RUNNER_KEYS for text in texts(config[key]) if is_short_name(text)]
        assert set(read) <= set(found), f"{path} names weights that would not be fetched"
        named.update({address.partition("://")[0] for address in found})
    return count, named


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a config's value."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from texts(each)


@pytest.mark.parametrize("package", ["mmdet", "mmpretrain"])
def test_every_published_config_names_weights_that_have_an_address(package: str, tmp_path: Path) -> None:
    wheel = _published().get(package)
    if wheel is None:
        pytest.skip(f"MIMCTL_TEST_CONFIGS names no wheel of {package}")
    count, named = named_in(wheel, tmp_path)
    assert count > 750
    if package == "mmdet":
        assert named["torchvision"] + named["open-mmlab"] > 600
    assert set(named) <= {"torchvision", "open-mmlab", "mmcls", "https", "http"}


@pytest.mark.slow
def test_configs_of_other_toolboxes_name_weights_that_have_an_address(tmp_path: Path) -> None:
    others = {name: wheel for name, wheel in _published().items() if name.startswith("mm")}
    others = {name: wheel for name, wheel in others.items() if name not in ("mmdet", "mmpretrain", "mmengine")}
    if not others:
        pytest.skip("MIMCTL_TEST_CONFIGS names no wheel of another toolbox")
    named: Counter[str] = Counter()
    for name, wheel in others.items():
        named += named_in(wheel, tmp_path / name)[1]
    assert set(named) <= {"torchvision", "open-mmlab", "mmcls", "https", "http"}


def test_fetched_once_from_a_mirror_then_from_the_cache_offline(
    mirror: Any, settings: Settings, tmp_path: Path
) -> None:
    mirror.put("mmediting/third_party/mobilenet_v2.pth", b"weights")
    notes: list[str] = []
    found = fetch_weights(UNHASHED, settings=settings, mirrors={ANY_HOST: mirror.address}, note=notes.append)
    assert found.read_bytes() == b"weights"
    assert any("not checked" in note for note in notes)
    offline = Settings(cache_dir=settings.cache_dir, home=tmp_path / "home", offline=True)
    assert fetch_weights(UNHASHED, settings=offline) == found
    assert fetch_weights(find_named(UNHASHED).url, settings=offline) == found, "one file, whatever it is called"
    assert mirror.requests == ["/mmediting/third_party/mobilenet_v2.pth"]
    with pytest.raises(NetworkError) as caught:
        fetch_weights("torchvision://resnet18", settings=offline)
    assert "resnet18-f37072fd.pth" in f"{caught.value} {caught.value.causes} {caught.value.hints}"


def test_other_bytes_than_the_name_promises_are_refused(mirror: Any, settings: Settings) -> None:
    mirror.put("models/resnet18-f37072fd.pth", b"not these")
    with pytest.raises(IntegrityError):
        fetch_weights("torchvision://resnet18", settings=settings, mirrors={ANY_HOST: mirror.address})
    mirror.put("models/efficientnet_b0_rwightman-3dd342df.pth", b"nor these")
    with pytest.raises(IntegrityError, match="efficientnet"):
        fetch_weights("torchvision://efficientnet_b0", settings=settings, mirrors={ANY_HOST: mirror.address})


def test_weights_of_a_bundle_are_found_by_the_short_name(settings: Settings, tmp_path: Path) -> None:
    import hashlib

    carried = tmp_path / "carried.pth"
    carried.write_bytes(b"carried")
    adopt_weights(find_named(UNHASHED).url, carried, hashlib.sha256(b"carried").hexdigest(), settings=settings)
    assert fetch_weights(UNHASHED, settings=settings).read_bytes() == b"carried"


def test_a_bundle_brings_no_other_weights_under_an_address(settings: Settings, tmp_path: Path) -> None:
    import hashlib

    carried, address = tmp_path / "carried.pth", "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    carried.write_bytes(b"carried")
    for sha256 in (hashlib.sha256(b"carried").hexdigest(), f"f37072fd{'0' * 56}"):
        with pytest.raises(IntegrityError) as refused:
            adopt_weights(address, carried, sha256, settings=settings)
        assert refused.value.code == "hash-mismatch"
    assert not list(settings.cache_dir.rglob("*.pth"))


def config_of(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.py"
    path.write_text(text, encoding="utf-8")
    return Config.fromfile(path)


def test_weights_of_a_config_are_those_that_a_run_loads(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "checkpoint = 'https://weights.example/of_a_variable.pth'\n"
        "model = dict(type='X', pretrained='torchvision://resnet18', text=dict(url='https://page.example/help'),\n"
        "    data_preprocessor=dict(file='s3://bucket/mean.npy'), teacher_ckpt='https://weights.example/teacher.pth',\n"
        "    backbone=dict(init_cfg=[dict(type='Kaiming', layer='Conv2d'),\n"
        "        dict(type='mmengine.Pretrained', checkpoint='torchvision://resnet50', prefix='backbone.')]))\n"
        "load_from = 'https://weights.example/whole.pth'\n",
    )
    assert remote_weights(config) == {
        "https://weights.example/whole.pth": "load_from",
        "torchvision://resnet18": "model.pretrained",
        "https://weights.example/teacher.pth": "model.teacher_ckpt",
        "torchvision://resnet50": "model.backbone.init_cfg.1.checkpoint",
    }
    assert list(remote_weights(config, only_load_from=True)) == ["https://weights.example/whole.pth"]


def test_start_from_scratch_leaves_no_weights_to_fetch(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "load_from = 'torchvision://resnet18'\n"
        "model = dict(type='X', pretrained='torchvision://resnet18', init_cfg=dict(type='Normal'),\n"
        "    neck=dict(init_cfg=dict(type='PretrainedInit', checkpoint='here.pth')),\n"
        "    backbone=dict(init_cfg=[dict(type='Kaiming', layer='Conv2d'),\n"
        "        dict(type='Pretrained', checkpoint='torchvision://resnet50')]))\n",
    )
    config.merge_from_dict(from_scratch(config))
    assert remote_weights(config) == {}
    assert config.model.to_dict() == {
        "type": "X",
        "pretrained": None,
        "init_cfg": {"type": "Normal"},
        "neck": {"init_cfg": None},
        "backbone": {"init_cfg": [{"type": "Kaiming", "layer": "Conv2d"}]},
    }


def test_wrong_name_in_a_config_is_reported_at_its_line(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "model = dict(\n    backbone=dict(\n        init_cfg=dict(\n            type='Pretrained',\n"
        "            checkpoint='torchvision://resnet500')))\n",
    )
    (error,) = weights_errors(config)
    assert (error.code, str(error.origin)) == ("unknown-weights-address", f"{tmp_path / 'config.py'}:5")


def test_table_holds_facts_alone() -> None:
    table = json.loads(FILE.read_text(encoding="utf-8"))
    urls = [url for names in table["names"].values() for url in names.values()]
    assert {urlsplit(url).hostname for url in urls} == {"download.openmmlab.com", "download.pytorch.org"}
    assert all(url.startswith("https://") for url in urls)
