"""Weights that lie on the Hugging Face Hub, in a store or on mirrors of either: named by configs and by the zoo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer
from store_server import StoreServer

from mimctl.config import Config
from mimctl.errors import IntegrityError
from mimctl.index.client import IndexClient
from mimctl.launch.experiments.config_weights import remote_weights, weights_errors
from mimctl.settings import Settings
from mimctl.zoo.catalogue.entries import entries_of
from mimctl.zoo.download import download_models, fetch_weights
from mimctl.zoo.model import WeightsSource
from mimctl.zoo.weights import find_kept, obtain

URL = "hf://owner/repo/sub/model.pth@v1"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: Any) -> Iterator[HubServer]:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        server.put("owner/repo", "sub/model.pth", facts.weights, revision="v1")
        yield server


def test_the_hub_vouches_for_its_files_and_is_asked_once(hub: HubServer, settings: Settings, facts: Any) -> None:
    source = WeightsSource(url=URL)
    found = obtain(source, settings=settings)
    assert (found.path.name, found.sha256, found.check) == ("model.pth", facts.sha256, "sha256")
    hub.requests.clear()
    again = obtain(source, settings=replace(settings, offline=True))
    assert (again.path, again.check, again.is_new, hub.requests) == (found.path, "sha256", False, [])
    found.path.unlink()
    assert find_kept(source, settings=settings) is None
    assert obtain(source, settings=settings).check == "sha256"


def test_a_file_that_moved_on_under_its_branch_is_refused(hub: HubServer, settings: Settings, facts: Any) -> None:
    path = fetch_weights(URL, settings=settings)
    path.unlink()
    hub.put("owner/repo", "sub/model.pth", b"other weights", revision="v1")
    with pytest.raises(IntegrityError) as caught:
        fetch_weights(URL, settings=settings)
    assert caught.value.code in ("hash-mismatch", "length-mismatch")


def test_a_small_file_of_the_hub_says_that_nothing_vouches_for_it(hub: HubServer, settings: Settings) -> None:
    hub.put("owner/repo", "tiny.pth", b"tiny", is_lfs=False)
    notes: list[str] = []
    assert fetch_weights("hf://owner/repo/tiny.pth", settings=settings, note=notes.append).read_bytes() == b"tiny"
    assert notes == ["`tiny.pth`: not checked (nothing says what its hash should be)"]


def test_a_mirror_stands_for_the_hub(hub: HubServer, settings: Settings, tmp_path: Path, facts: Any) -> None:
    place = tmp_path / "disk" / "owner" / "repo" / "resolve" / "v1" / "sub" / "model.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(facts.weights)
    for root in ("disk", "flat"):
        settings = replace(settings, cache_dir=tmp_path / f"cache of {root}", offline=True)
        mirrors = {"127.0.0.1": (tmp_path / root).as_uri()}
        found = obtain(WeightsSource(url=URL), settings=settings, mirrors=mirrors)
        assert (found.path.read_bytes(), found.check) == (facts.weights, "none")
        (tmp_path / "flat").mkdir(exist_ok=True)
        shutil.copy(place, tmp_path / "flat" / "model.pth")
    assert hub.requests == []


def test_a_store_is_a_mirror_and_holds_weights(settings: Settings, facts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="`s3://` is read with s3fs")
    with StoreServer() as store:
        for name, value in (("ENDPOINT_URL", store.address), ("ACCESS_KEY_ID", "me"), ("SECRET_ACCESS_KEY", "x")):
            monkeypatch.setenv(f"AWS_{name}", value)
        store.objects[f"mirror/of mm/{facts.path}"] = facts.weights
        found = obtain(WeightsSource(url=facts.url), settings=settings, mirrors={"localhost": "s3://mirror/of mm"})
        assert found.path.read_bytes() == facts.weights
        store.objects[f"bucket/{facts.filename}"] = facts.weights
        assert fetch_weights(f"s3://bucket/{facts.filename}", settings=settings) == found.path
        store.objects[f"bucket/resnet50-{'0' * 8}.pth"] = facts.weights
        with pytest.raises(IntegrityError):
            fetch_weights(f"s3://bucket/resnet50-{'0' * 8}.pth", settings=settings)


def test_models_of_the_zoo_may_lie_on_the_hub(
    hub: HubServer, index_dir: Path, own_configs: Path, settings: Settings, tmp_path: Path, facts: Any
) -> None:
    path = index_dir / "zoo" / "det.json"
    zoo = json.loads(path.read_text(encoding="utf-8"))
    model = zoo["models"][1]
    model["weights"] = {"url": URL}
    path.write_text(json.dumps(zoo), encoding="utf-8")
    found = download_models(
        "det",
        [model["name"]],
        dest=tmp_path / "dest",
        index=IndexClient([str(index_dir)], cache_dir=settings.cache_dir),
        settings=settings,
        configs_dir=own_configs,
    )[0]
    assert (found.checkpoint.name, found.check) == ("model.pth", "sha256")
    assert found.checkpoint.read_bytes() == facts.weights


def test_configs_name_weights_by_all_kinds_of_addresses() -> None:
    config = Config(
        {
            "load_from": "s3://bucket/last.pth",
            "model": {
                "backbone": {"init_cfg": {"type": "Pretrained", "checkpoint": URL}},
                "neck": {"pretrained": "hf://owner/repo@v2/neck.safetensors", "page": "hf://owner/repo/page.html"},
                "head": {"pretrained": "gs://bucket/head.pth"},
            },
        }
    )
    assert list(remote_weights(config)) == [
        "s3://bucket/last.pth",
        URL,
        "hf://owner/repo@v2/neck.safetensors",
        "gs://bucket/head.pth",
    ]
    assert weights_errors(config) == []


def test_metafiles_may_name_them_too() -> None:
    addresses = (URL, "s3://b/model-0123abcd.pth", "hf://b/m.pt")
    models = [{"name": f"model {number}", "weights": [each]} for number, each in enumerate(addresses)]
    kept = [entry.weights for entry in entries_of(models, source="x==1")]
    assert [each and (each.filename, each.sha8) for each in kept] == [
        ("model.pth", None),
        ("model-0123abcd.pth", "0123abcd"),
        None,
    ]
