"""The table itself: what each entry must say, and that what it says of our own configs is true."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mimctl.config import Config
from mimctl.errors import UsageError
from mimctl.zoo.datasets.table import (
    FOLDER,
    DataSet,
    data_set_names,
    find_data_set,
    load_data_sets,
    read_data_set,
    unknown_data_set,
)

ROOT = Path(__file__).resolve().parents[3]
TABLE = {each.name: each for each in load_data_sets()}
NAMES = (
    *("mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100", "svhn", "stl10", "food101", "flowers102"),
    *("oxford-iiit-pet", "caltech101", "caltech256", "dtd", "eurosat", "imagenette", "imagewoof", "tiny-imagenet"),
    *("voc2007", "voc2012", "coco2017", "lvis-v1", "bccd", "balloon"),
)
MINIMAL = f"""[[files]]
part = "all"
name = "a.zip"
urls = ["https://data.example/a.zip"]
sha256 = "{"0" * 64}"
gives = ["a"]
"""


def test_the_data_sets_that_people_begin_with_are_there() -> None:
    assert set(NAMES) <= TABLE.keys()
    assert TABLE["coco2017"].parts == ("train", "val", "annotations", "test")
    assert [each.part for each in TABLE["coco2017"].choose(())] == ["train", "val", "annotations"]


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_says_whose_word_it_is_and_under_which_terms(name: str) -> None:
    entry = TABLE[name]
    assert all((entry.title, entry.licence, entry.layout, entry.source))
    assert entry.task in ("classification", "detection")
    assert urlsplit(entry.home).scheme in ("http", "https")
    assert re.search(r"\d+\.\d+", entry.source), "a source is a release of somebody's"
    assert entry.folder.partition("/")[0] == "data"
    for file in entry.files:
        assert all(urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname for url in file.urls)
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
        assert file.size is None or file.size > 500
        assert file.is_archive or file.gives == (file.name,)
        assert all(given.startswith(file.into) or file.into == "." for given in file.gives)
    assert len({file.name for file in entry.files}) == len(entry.files)


def test_entries_that_share_a_folder_do_not_give_the_same() -> None:
    given = [(entry.folder, path) for entry in TABLE.values() for file in entry.files for path in file.gives]
    assert len(set(given)) == len(given)


def test_no_two_entries_go_by_one_name() -> None:
    words = [re.sub("[-_]", "", word) for entry in TABLE.values() for word in (entry.name, *entry.aliases)]
    assert len(set(words)) == len(words)


OWN = [
    (entry, toolbox, config)
    for entry in TABLE.values()
    for toolbox, configs in entry.configs.items()
    if toolbox in ("cls", "det")
    for config in configs
]


@pytest.mark.parametrize(("entry", "toolbox", "config"), OWN, ids=lambda each: str(getattr(each, "name", each)))
def test_our_configs_look_where_the_data_set_is_put(entry: DataSet, toolbox: str, config: str) -> None:
    path = ROOT / "plugins" / toolbox / f"mimctl_{toolbox}" / "configs" / config
    dataset = Config.fromfile(path).train_dataloader.dataset
    prefix = dataset.get("data_prefix", "")
    root = Path(dataset.get("data_root", "")) / (prefix if isinstance(prefix, str) else "")
    assert root == Path(entry.folder)
    given = {path for file in entry.files for path in file.gives}
    if isinstance(prefix, dict):
        assert {prefix["img"].rstrip("/"), dataset.ann_file} <= given


@pytest.mark.parametrize(
    ("word", "name"),
    [
        *(
            ("mnist", "mnist"),
            ("MNIST", "mnist"),
            ("FashionMNIST", "fashion-mnist"),
            ("fashion_mnist", "fashion-mnist"),
        ),
        *(
            ("CIFAR-10", "cifar10"),
            ("COCO", "coco2017"),
            ("cub_200_2011", "cub"),
            ("tiny-imagenet-200", "tiny-imagenet"),
        ),
    ],
)
def test_names_are_found_as_people_write_them(word: str, name: str) -> None:
    found = find_data_set(word)
    assert found is not None
    assert found.name == name


def test_an_unknown_name_shows_the_nearest() -> None:
    assert find_data_set("coco2071") is None
    assert unknown_data_set("coco2071").hints[0].startswith("did you mean `coco2017`")
    assert "nuscenes" in str(unknown_data_set("nuscens", ["nuscenes"]).hints[0])


def test_the_table_holds_data_sets_and_nothing_else() -> None:
    assert data_set_names() == tuple(sorted(path.stem for path in FOLDER.iterdir()))


def test_a_file_of_ones_own_is_a_data_set(tmp_path: Path) -> None:
    path = tmp_path / "Street.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    found = find_data_set(str(path))
    assert found is not None
    assert (found.name, found.folder, found.parts) == ("street", "data/street", ("all",))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (("[[files]]", "[[files]"), "Expected"),
        (('name = "a.zip"', 'name = "../a.zip"'), "not a file's name"),
        (('gives = ["a"]', 'gives = ["../a"]'), "not a path inside"),
        (('gives = ["a"]', 'gives = ["a"]\ninto = "/tmp"'), "not a path inside"),
        (('gives = ["a"]', 'gives = ["a"]\ninto = "b"'), "does not lie in `b`"),
        (('gives = ["a"]', "gives = []"), "needs `urls` and `gives`"),
        (('gives = ["a"]', 'gives = ["a"]\nsice = 3'), "unexpected keyword argument 'sice'"),
        (('sha256 = "' + "0" * 64 + '"', ""), "needs a hash, or `unchecked`"),
        (("[[files]]", 'licence = "free\\u001b[2J"\n[[files]]'), "no line of text"),
        (("[[files]]", "[[pictures]]"), "it lacks 'files'"),
        (('part = "all"', 'part = "all of it"'), "not a name"),
    ],
)
def test_mistakes_in_a_file_of_ones_own_are_one_clear_error(
    change: tuple[str, str], cause: str, tmp_path: Path
) -> None:
    path = tmp_path / "street.toml"
    assert change[0] in MINIMAL
    path.write_text(MINIMAL.replace(*change), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        find_data_set(str(path))
    assert caught.value.code == "bad-data-set"
    assert cause in caught.value.causes[0]


def test_a_file_of_ones_own_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        find_data_set("no/such.toml")
    assert caught.value.message == "`no/such.toml` describes no data set"


def test_reading_one_entry_reads_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    shutil.copytree(FOLDER, folder)
    (folder / "zzz.toml").write_text("not TOML", encoding="utf-8")
    found = find_data_set("mnist", folder)
    assert found == read_data_set(FOLDER / "mnist.toml")


SOURCES = {
    "torchvision": ("torchvision-0.29.2-", "torchvision/datasets/"),
    "tensorflow-datasets": ("tensorflow_datasets-4.9.10-", "checksums"),
    "keras": ("keras-3.15.1-", "keras/src/datasets/"),
    "fastai": ("fastai-2.8.12-", "fastai/data/"),
    "avalanche-lib": ("avalanche_lib-0.6.0-", "avalanche/benchmarks/datasets/"),
    "mmdet": ("mmdet-3.3.0-", "tools/misc/"),
}


@pytest.fixture(scope="module")
def published() -> dict[str, str]:
    """Return release → what its wheel says of data sets, of the wheels that MIMCTL_TEST_CONFIGS names."""
    given = [Path(each) for each in os.environ.get("MIMCTL_TEST_CONFIGS", "").split(os.pathsep) if each]
    wheels = [wheel for each in given for wheel in (sorted(each.glob("*.whl")) if each.is_dir() else [each])]
    found = {}
    for name, (start, inner) in SOURCES.items():
        for wheel in wheels:
            if wheel.name.startswith(start):
                with zipfile.ZipFile(wheel) as archive:
                    texts = [archive.read(each) for each in archive.namelist() if inner in each]
                found[name] = b"\n".join(texts).decode(errors="replace")
    return found


@pytest.mark.parametrize("name", TABLE)
def test_hashes_and_addresses_are_those_that_the_named_releases_publish(name: str, published: dict[str, str]) -> None:
    named = [word for word in SOURCES if word in TABLE[name].source]
    assert named
    if not set(named) <= published.keys():
        pytest.skip(f"MIMCTL_TEST_CONFIGS names no wheels of {', '.join(named)}")
    text = "\n".join(published[each] for each in named)
    for file in TABLE[name].files:
        for digits in (file.sha256, file.md5, file.size):
            assert digits is None or str(digits) in text, (file.name, digits)
        for url in file.urls:
            assert url.rpartition("/")[2].partition("?")[0] in text, url
            assert urlsplit(url).hostname in text, url
