"""The commands of the page on downloading models, typed in their order: a mirror, the Hub and the cache behind them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from hub_server import HubServer
from login_node import Login
from page_reader import Reader
from static_server import serving

WEIGHTS = b"PK\x03\x04 stands for weights" * 100
LOG = b'{"loss": 1.5}\n'
HOST = "http://localhost:9"
"""Of the publisher, who is away."""


def write_index(folder: Path, mirror: Path) -> Path:
    """Write an index with two models, whose files lie on a mirror, and return it."""
    digits = hashlib.sha256(WEIGHTS).hexdigest()[:8]
    models = []
    for size in ("s", "tiny"):
        stem = f"rtmdet_{size}_8xb32-300e_coco"
        names = (f"v3.0/{stem}-{digits}.pth", f"v3.0/{stem}.log.json")
        for name, body in zip(names, (WEIGHTS, LOG), strict=True):
            (mirror / "openmmlab" / name).parent.mkdir(parents=True, exist_ok=True)
            (mirror / "openmmlab" / name).write_bytes(body)
        weights, log = ({"url": f"{HOST}/{name}"} for name in names)
        model = {"name": stem, "config": f"rtmdet/{stem}.py", "config_source": "mmdet==3.3.0"}
        models.append({**model, "weights": {**weights, "sha8": digits}, "log": log, "buildable": True})
    (folder / "zoo").mkdir(parents=True)
    document = {"schema_version": 1, "plugin": "det", "models": models}
    (folder / "zoo" / "det.json").write_text(json.dumps(document))
    (folder / "index.json").write_text('{"schema_version": 1, "generator": "test", "files": [], "torch": {}}')
    (folder / "toolboxes.json").write_text('{"schema_version": 1, "toolboxes": {}}')
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_commands_of_the_page_bring_what_it_says(tmp_path: Path) -> None:
    index = write_index(tmp_path / "index", tmp_path / "disk")
    desk = tmp_path / "desk"
    desk.mkdir()
    with serving(tmp_path / "disk") as server, HubServer() as hub:
        login = Login.at(
            desk,
            MIMCTL_INDEX_URL=str(index),
            MIMCTL_CACHE_DIR=str(tmp_path / "cache"),
            MIMCTL_HTTP_RETRIES="0",
            HF_ENDPOINT=hub.address,
            HF_HOME=str(tmp_path / "hf"),
        )
        stands_for = {
            "https://mirror.example.org": server.address,
            "mirrors.download.openmmlab.com": "mirrors.localhost",
            **{
                words: f"{words} --mirror {server.address}/openmmlab"
                for words in ("rtmdet_s --dest .", "rtmdet_tiny rtmdet_s", "--log --dest mine")
            },
            "train det my.py": "train det my.py --gpus 0",
        }
        reader = Reader("download-models.md", login, stands_for)
        said = reader.types("mimctl download det --config rtmdet_s --dest .")
        assert "32-bit check only" in said
        config, weights = said.splitlines()[-2:]
        assert (desk / weights).read_bytes() == WEIGHTS
        assert (desk / config).read_text().startswith("# rtmdet_s_8xb32-300e_coco: flattened")
        reader.types("mimctl download det rtmdet_tiny rtmdet_s --dest models")
        assert len(names_in(desk / "models")) == 4
        reader.types("mimctl download det rtmdet_s --bases --log")
        found = names_in(desk / "mine")
        assert {"rtmdet_s_8xb32-300e_coco.log.json", "configs/rtmdet/rtmdet_s_8xb32-300e_coco.py"} <= found
        server.asked.clear()
        reader.types("mimctl download det rtmdet_s --from-cache --dest run")
        assert (len(names_in(desk / "run")), server.asked) == (2, [])
        assert reader.types("mimctl download det rtmdet_s --mirror").count(str(tmp_path / "cache")) == 2
        reader.types("mimctl settings set mirrors")
        torch.save({"state_dict": {"last.bias": torch.ones(1)}}, tmp_path / "net.pth")
        hub.put("owner/repo", "net.pth", (tmp_path / "net.pth").read_bytes(), revision="v1")
        reader.types("mimctl train det my.py --weights hf://")
        assert ("hub", "HEAD", "/owner/repo/resolve/v1/net.pth", None) in hub.requests
        assert not reader.left
