"""`mimctl search` and `mimctl download` with an index and with packages of mim's convention, as typed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mim_package import METAFILE, install, make_venv, write_package

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A real environment without any toolbox."""
    return make_venv(tmp_path / "venv")


@pytest.fixture
def mimctl(tmp_path: Path, index_dir: Path, python: Path) -> Any:
    """Return a function that runs `mimctl` against the index, in a folder of its own."""
    work = tmp_path / "here"
    work.mkdir()
    environment = {
        "PYTHONPATH": str(ROOT),
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_INDEX_URL": str(index_dir),
        "MIMCTL_PYTHON": str(python),
        "COLUMNS": "40",
    }

    def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "mimctl", *map(str, arguments)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MIMCTL", "VIRTUAL"))}
        return subprocess.run(
            argv,
            cwd=work,
            env={**kept, **environment, **more},
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
        )

    run.work = work  # type: ignore[attr-defined]
    return run


@pytest.fixture
def package(tmp_path: Path, python: Path, mirror: Any, facts: Any) -> str:
    """Install the package `mm-toy-suite` whose weights lie on the mirror; return their address."""
    digits = hashlib.sha256(facts.weights).hexdigest()[:8]
    url = f"{mirror.address}/net/net_s_1x_coco_20220905_161602-{digits}.pth"
    mirror.put(f"net/{Path(url).name}", facts.weights)
    install(python, write_package(tmp_path / "wheels", weights=url))
    return url


def test_a_toolboxs_models_are_searched_in_the_index(mimctl: Any, facts: Any) -> None:
    done = mimctl("search", "det", "box_ap>=40", "--sort", "params", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema_version"], document["command"], document["packages"]) == (1, "search", ["det"])
    first = document["models"][0]
    assert first["name"] == facts.stem
    assert first["fields"]["coco/box_ap"] == 44.5
    assert first["fields"]["buildable"] is True


def test_it_works_offline_once_the_index_was_read(mimctl: Any, index_dir: Path, mirror: Any, facts: Any) -> None:
    for path in index_dir.rglob("*.json"):
        mirror.put(path.relative_to(index_dir).as_posix(), path.read_bytes())
    words = ("search", "det", "box_ap>=40", "--sort", "params", "--json")
    refused = mimctl(*words, "--offline", MIMCTL_INDEX_URL=mirror.address)
    assert refused.returncode == 4
    online = mimctl(*words, MIMCTL_INDEX_URL=mirror.address)
    mirror.requests.clear()
    offline = mimctl(*words, "--offline", MIMCTL_INDEX_URL=mirror.address)
    assert (offline.returncode, offline.stdout) == (0, online.stdout)
    assert mirror.requests == []


def test_an_installed_package_is_searched_in_its_own_metafiles(mimctl: Any, package: str) -> None:
    done = mimctl("search", "mmtoy", "--condition", "12<epochs<=36 box_ap>40")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "name           model  epochs  coco/box_ap\n"
        "net_l_3x_coco  Net    36      48.1\n"
    )  # fmt: skip
    assert "`mmtoy` is the package mm-toy-suite 1.2.0" in done.stderr
    assert "an entry of `mm-toy-suite` cannot be read: configs/net/metafile.yml" in done.stderr


def test_several_packages_stand_in_one_answer(mimctl: Any, package: str, facts: Any) -> None:
    done = mimctl("search", "det", "mmtoy", "--sort", "box_ap", "--descending", "--field", "box_ap", "package", "-q")
    assert done.stdout.split()[:3] == ["net_l_3x_coco", facts.stem, "rtmdet_nano"]
    document = json.loads(mimctl("search", "det", "mmtoy", "--config", "net_s", "nano", "--json").stdout)
    assert [(each["package"], each["name"]) for each in document["models"]] == [
        ("det", "rtmdet_nano"),
        ("mm-toy-suite", "net_s_1x_coco"),
    ]


def test_rows_are_whole_in_a_pipe_and_control_characters_inert(mimctl: Any, package: str) -> None:
    done = mimctl("search", "mmtoy", "--field", "weight", "config", "--config", "net_s", "evil")
    assert package in done.stdout
    assert "\x1b" not in done.stdout
    assert "evil<b>" in done.stdout
    assert "\x1b" not in mimctl("search", "mmtoy", "--json").stdout
    assert "\x1b" not in mimctl("search", "mmtoy", "--to-dict").stdout


HOSTILE = """
  - Name: "evil_\\u202egpj\\u2066\\x9b31m\\e]0;title\\a<b>"
    In Collection: Net
    Config: "configs/net/\\u200fnet.py"
    Metadata: {"Epochs\\u2028": "1\\u20292\\x85", "Released": "\\e[2Jnow"}
    Results: [{Task: "T\\x9b", Dataset: "D\\u202d", Metrics: {"m\\u2069": 3}}]
"""
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--field", "epochs", "d", "released", "config", "task"),
        ("--exclude-field", "weight"),
        ("--valid-config",),
        ("--valid-field",),
        ("--to-dict",),
        ("--json",),
        ("--json", "found.json"),
        ("--sort", "m", "--color", "always"),
        ("--model", "\x9b31m\u202e", "--json"),
        ("x\u202e>3",),
    ],
)
def test_text_of_others_is_shown_and_never_obeyed(
    mimctl: Any, tmp_path: Path, python: Path, words: tuple[str, ...]
) -> None:
    changes = {".mim/configs/net/metafile.yml": METAFILE + HOSTILE}
    install(python, write_package(tmp_path / "wheels", changes=changes))
    done = mimctl("search", "mmtoy", *words)
    written = mimctl.work / "found.json"
    said = [done.stdout, done.stderr, written.read_text(encoding="utf-8") if written.exists() else ""]
    if "always" in words:
        said = [re.sub(r"\x1b\[[0-9;]*m", "", each) for each in said]  # our own colours
    for text in said:
        assert not OBEYED.findall(text), text
    assert done.returncode == 0 or "error[" in done.stderr
    if "--json" in words and done.returncode == 0:
        document = json.loads(written.read_text(encoding="utf-8") if written.exists() else done.stdout)
        assert "evil_\u202egpj\u2066\x9b31m\x1b]0;title\x07<b>" in {each["name"] for each in document["models"]}


def test_mims_other_ways_to_print(mimctl: Any, package: str) -> None:
    assert mimctl("search", "mmtoy", "--valid-config", "--model", "net", "--dataset", "coco").stdout.split() == [
        "net_s_1x_coco",
        "net_l_3x_coco",
        "evil<b>",
    ]
    fields = mimctl("search", "mmtoy", "--valid-field").stdout.split("\n")[:-1]
    assert fields == sorted(fields) and {"epochs", "coco/box_ap", "training_memory(gb)"} <= set(fields)
    to_dict = json.loads(
        mimctl("search", "mmtoy", "--config", "net-s", "--field", "epochs", "weight", "--to-dict").stdout
    )
    assert to_dict == {"net_s_1x_coco": {"epochs": 12, "weight": package}}
    blocks = mimctl("search", "mmtoy", "--config", "net_s", "--exclude-field", "weight", "config").stdout
    assert blocks == (
        "net_s_1x_coco\n  architecture  FPN, ResNet\n  coco/box_ap  40.5\n  epochs  12\n  model  Net\n"
        "  task  Object Detection\n  training_data  COCO\n  training_memory(gb)  3.5\n"
    )


def test_json_takes_a_file_as_mims_does(mimctl: Any, package: str) -> None:
    done = mimctl("search", "mmtoy", "det", "--json", "found.json")
    assert (done.returncode, done.stdout) == (0, "found.json\n")
    names = [each["name"] for each in json.loads((mimctl.work / "found.json").read_text())["models"]]
    assert "net_s_1x_coco" in names and "rtmdet_nano" in names, "all packages, not the last alone"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("mmtoy", "box_app>4"), "unknown-field", "did you mean `box_ap`"),
        (("mmtoy", "box_ap>"), "bad-condition", "compared with nothing"),
        (("mmtoy", "--model", "Nett"), "unknown-model", "did you mean `Net`?"),
        (("box_ap>4",), "usage", "name one first"),
        (("mmtoy", "--field", "epochs", "--exclude-field", "model"), "usage", "contradict"),
        (("mmtoy", "__import__('os').system('touch gone')>1"), "bad-condition", "compared with nothing"),
        (("mmtoy", "--condition", "().__class__>1"), "unknown-field", "all fields"),
    ],
)
def test_mistakes_are_named_and_nothing_is_evaluated(
    mimctl: Any, package: str, words: tuple[str, ...], code: str, told: str
) -> None:
    done = mimctl("search", *words)
    assert done.returncode in (1, 2)
    assert (done.stdout, f"error[{code}]" in done.stderr) == ("", True), done.stderr
    assert told in done.stderr
    assert not (mimctl.work / "gone").exists()


def test_a_package_that_is_not_installed_is_its_toolbox_in_the_index_or_what_is_published(
    mimctl: Any, package_index: Path, facts: Any
) -> None:
    alias = mimctl("search", "mmdet", "--valid-config")
    assert facts.stem in alias.stdout
    assert "`mmdet` is not installed; these are the models of the toolbox `det`" in alias.stderr
    local = mimctl("search", "mmdet", "--local")
    assert (local.returncode, local.stdout) == (1, "")
    assert "error[plugin-not-installed]" in local.stderr
    write_package(package_index, name="mmother", module="mmother")
    for words in (("mmother==1.2.0",), ("mmother", "--remote"), ("mmother", "--remote", "--offline")):
        done = mimctl("search", *words, "--model", "net")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[1].split() == ["net_s_1x_coco", "Net", "coco/box_ap", "40.5"]
    assert "error[no-zoo]" in mimctl("search", "mmdet==3.3.0").stderr, "that wheel has no metafile"
    assert mimctl("search", "mmother==1.3.0", "--offline").returncode == 4


def test_download_brings_a_packages_weights_verified_and_its_config_flattened(
    mimctl: Any, package: str, facts: Any
) -> None:
    done = mimctl("download", "mmtoy", "--config", "net_s", "--dest", "got")
    assert done.returncode == 0, done.stderr
    config, checkpoint = (Path(line) for line in done.stdout.splitlines())
    assert checkpoint.read_bytes() == facts.weights
    text = config.read_text(encoding="utf-8")
    assert text.startswith("# net_s_1x_coco: flattened from the configs of mm-toy-suite==1.2.0")
    assert "log_level = 'INFO'" in text
    assert "32-bit check only" in done.stderr
    config.write_text(text.replace("depth=50", "depth=18"), encoding="utf-8")
    again = mimctl("download", "mmtoy", "net_s_1x_coco", "--dest", "got")
    assert again.returncode == 0
    assert "depth=18" in config.read_text(encoding="utf-8")
    assert f"kept `{config}`" in again.stderr


def test_download_refuses_bytes_that_are_not_those_of_the_name(mimctl: Any, package: str, mirror: Any) -> None:
    mirror.put(f"net/{Path(package).name}", b"<html>not found</html>")
    done = mimctl("download", "mmtoy", "net_s", "--dest", "got")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[h" in done.stderr
    assert list(mimctl.work.rglob("*.pth")) == []


def test_download_of_a_model_without_weights_or_name_is_refused(mimctl: Any, package: str) -> None:
    assert "error[no-weights]" in mimctl("download", "mmtoy", "net_l").stderr
    assert "error[unknown-model]" in mimctl("download", "mmtoy", "net_x").stderr
    assert "error[unknown-model]" in mimctl("download", "mmtoy", "evil").stderr


ODL = """#!/bin/sh
echo "odl $*"
touch "$4/images.zip"
exit ${ODL_EXIT:-0}
"""


def test_a_data_set_is_fetched_by_the_client_and_put_in_order_by_the_package(
    mimctl: Any, package: str, python: Path
) -> None:
    missing = mimctl("download", "mmtoy", "--dataset", "coco", PATH="/usr/bin:/bin")
    assert missing.returncode == 1
    assert "error[no-dataset-client]" in missing.stderr
    client = python.parent / "odl"
    client.write_text(ODL)
    client.chmod(0o755)
    done = mimctl("download", "mmtoy", "--dataset", "coco", "--dest", "ready here")
    assert done.returncode == 0, done.stderr
    raw, data = mimctl.work / "raw", mimctl.work / "ready here"
    assert done.stdout.splitlines() == [f"odl get Open/COCO -d {raw}", f"{raw} {data}", str(data)]
    assert (data / "ready").read_text() == "images.zip\n"
    failed = mimctl("download", "mmtoy", "--dataset", "coco", ODL_EXIT="3")
    assert failed.returncode == 3
    unknown = mimctl("download", "mmtoy", "--dataset", "coko")
    assert unknown.returncode == 2
    assert "did you mean `coco`" in unknown.stderr


def test_a_package_lists_the_data_sets_that_it_names_before_ours(mimctl: Any, package: str) -> None:
    done = mimctl("download", "mmtoy", "--list-datasets", "--json")
    assert done.returncode == 0, done.stderr
    first, *others = json.loads(done.stdout)["datasets"]
    assert (first["name"], first["title"], first["package"]) == ("coco", "Open/COCO", "mm-toy-suite")
    assert {"mnist", "voc2007"} <= {each["name"] for each in others}
    ours = mimctl("download", "mmtoy", "--dataset", "mnist", "--offline")
    assert ours.returncode == 4
    assert "train-images-idx3-ubyte.gz" in ours.stderr


def test_mims_function_returns_the_fields_of_each_model(python: Path, package: str, tmp_path: Path) -> None:
    import mimctl
    from mimctl import settings

    environ = {"MIMCTL_HOME": str(tmp_path), "MIMCTL_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    known = settings.load({"python": str(python)}, environ=environ)
    found = mimctl.get_model_info(
        "mmtoy", filter_conditions="epochs>12", sorted_fields=["epochs"], shown_fields=["epochs"], settings=known
    )
    assert found == {"net_l_3x_coco": {"epochs": 36}}
