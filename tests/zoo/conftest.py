"""A small index, a mirror on the loopback, a wheel in OpenMMLab's layout, and settings in a folder of their own."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mimctl.index.client import IndexClient
from mimctl.settings import Settings

WEIGHTS = b"PK\x03\x04 not really weights " * 5000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
STEM = "rtmdet_s_8xb32-300e_coco"
FILENAME = f"{STEM}_20220905_161602-{SHA256[:8]}.pth"
PATH = f"mmdetection/v3.0/rtmdet/{STEM}/{FILENAME}"
URL = f"http://localhost:9/{PATH}"
OWN_WEIGHTS = b"own weights" * 100
OWN_SHA256 = hashlib.sha256(OWN_WEIGHTS).hexdigest()

CONFIGS = {
    "_base_/runtime.py": "default_scope = 'mmdet'\nlog_level = 'INFO'\n",
    "rtmdet/rtmdet_l_8xb32-300e_coco.py": (
        "_base_ = '../_base_/runtime.py'\n"
        "model = dict(type='RTMDet', neck=dict(in_channels=[256, 512, 1024], out_channels=256))\n"
        "scale = (640, 640)\n"
    ),
    f"rtmdet/{STEM}.py": (
        "_base_ = './rtmdet_l_8xb32-300e_coco.py'\n"
        "model = dict(neck=dict(in_channels=[128, 256, 512]), scope={{_base_.default_scope}})\n"
    ),
}


@dataclass
class Site:
    """A folder served on the loopback; `requests` are the paths that were asked for."""

    folder: Path
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def put(self, path: str, content: bytes) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Site]:
    """Return an empty mirror."""
    site = Site(folder=tmp_path / "mirror")
    site.folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            site.requests.append(self.path)
            super().do_GET()

    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site.folder)))
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    site.address = f"http://127.0.0.1:{http.server_port}"
    yield site
    http.shutdown()
    http.server_close()


def entry(name: str = STEM, **values: Any) -> dict[str, Any]:
    """Return a model as `zoo/<plugin>.json` holds it."""
    weights = {"url": URL, "sha256": None, "sha8": SHA256[:8], "size": None, "file": None}
    base = {
        "name": name,
        "aliases": [],
        "collection": "RTMDet",
        "config": f"rtmdet/{STEM}.py",
        "config_source": "mmdet==3.3.0",
        "weights": weights,
        "results": [{"task": "Object Detection", "dataset": "COCO", "metrics": {"box AP": 44.5}}],
        "buildable": True,
    }
    return {**base, **values}


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    """Return an index with one published model, one of ours, and one that published no weights."""
    folder = tmp_path / "index"
    (folder / "zoo" / "files").mkdir(parents=True)
    own_name = f"rtmdet_nano-{OWN_SHA256[:8]}.safetensors"
    (folder / "zoo" / "files" / own_name).write_bytes(OWN_WEIGHTS)
    own = {"url": None, "sha256": OWN_SHA256, "sha8": None, "size": len(OWN_WEIGHTS), "file": f"zoo/files/{own_name}"}
    models = [
        entry(aliases=["rtmdet-s"]),
        entry("rtmdet_nano", config="rtmdet/rtmdet_nano.py", config_source="mimctl", weights=own),
        entry("tracker", weights=None),
    ]
    text = json.dumps({"schema_version": 1, "plugin": "det", "models": models})
    (folder / "zoo" / "det.json").write_text(text, encoding="utf-8")
    (folder / "index.json").write_text(
        '{"schema_version": 1, "generator": "test", "files": [], "torch": {"verified": "2.13.0"}}', encoding="utf-8"
    )
    (folder / "toolboxes.json").write_text('{"schema_version": 1, "toolboxes": {}}', encoding="utf-8")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings whose cache is the test's own, and which do not wait long."""
    return Settings(cache_dir=tmp_path / "cache", home=tmp_path / "home", http_timeout_s=30.0, http_retries=0)


@pytest.fixture
def index(index_dir: Path, settings: Settings) -> IndexClient:
    """Return a client of the index."""
    return IndexClient([str(index_dir)], cache_dir=settings.cache_dir)


@pytest.fixture
def own_configs(tmp_path: Path) -> Path:
    """Return a toolbox's configs folder that holds the nano model only."""
    folder = tmp_path / "own configs"
    (folder / "rtmdet").mkdir(parents=True)
    (folder / "rtmdet" / "rtmdet_nano.py").write_text("model = dict(type='RTMDet', widen=0.25)\n", encoding="utf-8")
    return folder


@pytest.fixture
def package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point pip at a folder that holds a wheel `mmdet` 3.3.0 in OpenMMLab's layout, and at nothing else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder / "mmdet-3.3.0-py3-none-any.whl", CONFIGS)
    use_only(folder, monkeypatch)
    return folder


def use_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip and uv see `folder` alone."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(folder.parent / "uv-cache"))


def write_wheel(path: Path, configs: dict[str, str], requires: Sequence[str] = ("no-such-thing",)) -> None:
    """Write a wheel whose package raises when it is imported, with `configs` below `.mim/configs`."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    files = {f"{name}/.mim/configs/{inner}": text for inner, text in configs.items()}
    files[f"{name}/__init__.py"] = "raise SystemExit('imported')\n"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {each}\n" for each in requires
    )
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            archive.writestr(inner, text)


@pytest.fixture
def publish(package_index: Path) -> Callable[..., None]:
    """Return a function that adds a release (`mmrotate-1.0.0rc1`) with configs to what pip and uv see."""

    def add(release: str, configs: dict[str, str], requires: Sequence[str] = ()) -> None:
        write_wheel(package_index / f"{release}-py3-none-any.whl", configs, requires)

    return add


@dataclass(frozen=True)
class Facts:
    """The constants above, for tests (which cannot import this file)."""

    weights: bytes = WEIGHTS
    sha256: str = SHA256
    stem: str = STEM
    filename: str = FILENAME
    path: str = PATH
    url: str = URL
    host: str = "localhost"
    own_weights: bytes = OWN_WEIGHTS


@pytest.fixture
def facts() -> Facts:
    """Return what the fixtures hold."""
    return Facts()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
