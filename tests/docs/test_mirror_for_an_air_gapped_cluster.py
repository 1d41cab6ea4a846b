"""The commands of the page on mirrors: filled while servers answer, used where nobody does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import lookalike_data
from login_node import Login
from page_reader import Reader
from static_server import serving
from tiny_wheels import write_wheel

from mimctl.site.build import SiteSources, build_site

WEIGHTS = b"PK\x03\x04 stands for weights" * 100
PAGE = "mirror-for-an-air-gapped-cluster.md"


def publish(folder: Path, address: str) -> None:
    """Write into `folder` the weights of two models and an index that names them, at the publisher's address."""
    digits = hashlib.sha256(WEIGHTS).hexdigest()[:8]
    models = []
    for size in ("s", "tiny"):
        stem = f"rtmdet_{size}_8xb32-300e_coco"
        (folder / f"v3.0/{stem}-{digits}.pth").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"v3.0/{stem}-{digits}.pth").write_bytes(WEIGHTS)
        weights = {"url": f"{address}/v3.0/{stem}-{digits}.pth", "sha8": digits}
        facts = {"collection": "RTMDet", "config": f"rtmdet/{stem}.py", "config_source": "mmdet==3.3.0"}
        figures = {"task": "Object Detection", "dataset": "COCO", "metrics": {"box AP": 40 + len(models)}}
        models.append({"name": stem, **facts, "weights": weights, "results": [figures], "buildable": True})
    (folder / "zoo").mkdir()
    document = {"schema_version": 1, "plugin": "det", "models": models}
    (folder / "zoo" / "det.json").write_text(json.dumps(document))
    wheel = write_wheel(folder / "wheels", "mimctl_det-0.1.0-py3-none-any.whl")
    build_site(SiteSources(wheels=[wheel], zoo=folder / "zoo"), folder / "index")


def test_what_was_mirrored_is_used_where_nobody_answers(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    stands_for = {"/project": str(project)}
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as server:
        publish(tmp_path / "served", server.address)
        described = tmp_path / "imagenette.toml"
        described.write_text(
            lookalike_data.publish("imagenette-160", tmp_path / "served", server.address), encoding="utf-8"
        )
        desk = Login.at(
            tmp_path,
            MIMCTL_INDEX_URL=f"{server.address}/index",
            MIMCTL_CACHE_DIR=str(tmp_path / "cache"),
            MIMCTL_HTTP_RETRIES="0",
        )
        stands_for |= {
            "https://models.example.org": server.address,
            "--dataset imagenette-160": f"--dataset {described}",
            "mirrors.download.openmmlab.com": "mirrors.127.0.0.1",
        }
        reader = Reader(PAGE, desk, stands_for)
        assert "2 models" in reader.types("mimctl index build")
        reader.types("mimctl download det")
        reader.types("mimctl download --dataset")
        reader.types("cd usb/mirror")
    there = tmp_path / "there"
    there.mkdir()
    reader.types("cp -r")
    del reader.environment["MIMCTL_INDEX_URL"]
    reader.environment |= {"MIMCTL_HOME": str(there / "home"), "MIMCTL_CACHE_DIR": str(there / "cache")}
    reader.folder = there
    assert reader.types("cd ") == "", "every file is the one that was packed"
    for words in ("offline", "index", "mirrors"):
        reader.types(f"mimctl settings set {words}")
    found = reader.types("mimctl search")
    assert [line.split()[0] for line in found.splitlines() if line.startswith("rtmdet")] == [
        "rtmdet_tiny_8xb32-300e_coco",
        "rtmdet_s_8xb32-300e_coco",
    ]
    reader.types("mimctl download det rtmdet_s")
    (weights,) = there.glob("*.pth")
    assert weights.read_bytes() == WEIGHTS
    assert (there / "rtmdet_s_8xb32-300e_coco.py").is_file()
    reader.types("mimctl download --dataset")
    assert list((there / "data/imagenette-160").rglob("*.JPEG"))
    assert not reader.left
