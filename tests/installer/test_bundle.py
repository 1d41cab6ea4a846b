"""`mimctl bundle` and `install --bundle`: what is carried, what is refused, and a machine without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from static_server import serving
from tiny_wheels import OPS_BUILD, write_ops_wheel

from mimctl import api
from mimctl import settings as settings_module
from mimctl.bundling.check import main as check_bundle
from mimctl.environment.detect import detect
from mimctl.environment.plain import to_plain
from mimctl.errors import MimctlError, UsageError
from mimctl.installer.model import InstallOptions
from mimctl.settings import Settings
from mimctl.transfer import sha256_of
from mimctl.zoo.weights import fetch_weights

ROOT = Path(__file__).parents[2]
EVERYTHING = {
    "mimctl 0.1.0",
    "mimctl-det 0.1.0",
    "mimctl-ops 0.1.0",
    "numpy 2.1.0",
    "opencv-python-headless 4.10",
    "packaging 26.3",
    "pillow 11.0",
    "torch 2.13.0+cpu",
}
TELLING = "import sys\nprintable = ' '.join(sys.argv[1:])\nprint('called:', printable)\n"


def has_namespaces() -> bool:
    """Return whether this machine lets one make a network without any route."""
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode == 0


without_network = pytest.mark.skipif(not has_namespaces(), reason="`unshare -rn` is not permitted here")


@pytest.fixture
def settings(site: Any, public: Any, venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Work with both indexes in a folder of one's own; packaging is on the public one too.

    An index audits its wheels, so the operators are ones that pass.
    """
    site.entries = [each for each in site.entries if each["project"] != "mimctl-ops"]
    ops = write_ops_wheel(tmp_path / "ops", "python")
    site.add(ops, requires=["torch>=2.10"], build={**OPS_BUILD, "backend": "python"})
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    public.add("packaging", "26.3")
    return load(venv, tmp_path, index=(site.url,))


def load(venv: Path, tmp_path: Path, cache: str = "cache", **more: object) -> Settings:
    flags = {"python": str(venv / "bin" / "python"), "torch_index": "http://127.0.0.1:9/whl", "http_retries": 0, **more}
    environ = {"MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_CACHE_DIR": str(tmp_path / cache)}
    return settings_module.load(flags, environ=environ)


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Path:
    """A bundle of a toolbox."""
    folder = tmp_path / "usb" / "det"
    api.bundle(folder, ["det"], settings=settings)
    return folder


def there(venv: Path) -> set[str]:
    found = detect(venv).distributions.values()
    return {f"{each.name} {each.version}" for each in found if each.name not in ("pip", "setuptools")}


def refused(what: Callable[..., object], *args: object, **kwargs: object) -> MimctlError:
    with pytest.raises(MimctlError) as caught:
        what(*args, **kwargs)
    return caught.value


def test_a_bundle_holds_what_an_installation_needs(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert files == {*manifest["files"], "manifest.json"}
    wheels = {" ".join(path.name.split("-")[:2]).replace("_", "-") for path in made.rglob("*.whl")}
    assert wheels == EVERYTHING
    assert {"install.sh", "check.py", "pylock.toml", "index/index.json", "index/toolboxes.json"} < files
    assert os.access(made / "install.sh", os.X_OK)
    assert 'path = "index/files/mimctl_det-0.1.0-py3-none-any.whl"' in (made / "pylock.toml").read_text("utf-8")


def test_the_same_bundle_twice_has_the_same_bytes(made: Path, settings: Settings, tmp_path: Path) -> None:
    before = (made / "manifest.json").read_bytes()
    report = api.bundle(made, ["det"], settings=settings)
    assert (made / "manifest.json").read_bytes() == before
    assert report.sha256 == sha256_of(made / "manifest.json")
    assert [path.name for path in made.parent.iterdir()] == ["det"]


def test_a_moved_bundle_installs_without_any_index(made: Path, venv: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere and with blanks"
    made.rename(moved)
    found = api.open_bundle(moved)
    result = api.install_bundled(found, settings=load(venv, tmp_path, "fresh-cache"))
    assert there(venv) == EVERYTHING
    assert {each.name for each in result.changes} == {each.partition(" ")[0] for each in EVERYTHING}
    assert api.prepare_bundled(found, settings=load(venv, tmp_path, "fresh-cache")).nothing_to_do


def test_a_bundle_is_installed_for_the_machine_that_is_meant(made: Path, venv: Path, tmp_path: Path) -> None:
    own = load(venv, tmp_path, "fresh-cache")
    node = tmp_path / "node.json"
    facts = to_plain(detect(venv))
    node.write_text(json.dumps({**facts, "node": "n1"}))
    plan = api.prepare_bundled(api.open_bundle(made), machine=str(node), settings=own)
    assert plan.notes[0] == f"chosen for `{node}` (seen on n1)"
    facts["facts"]["platform"]["value"]["machine"] = "riscv64"
    node.write_text(json.dumps(facts))
    assert refused(api.prepare_bundled, api.open_bundle(made), machine=str(node), settings=own).code == "other-machine"


@without_network
def test_the_command_installs_where_there_is_no_route(made: Path, venv: Path, tmp_path: Path) -> None:
    python = venv / "bin" / "python"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MIMCTL_", "PIP_"))},
        "PYTHONPATH": str(ROOT),
        "MIMCTL_HOME": str(tmp_path / "home2"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache2"),
        "MIMCTL_DRIVER": "none",
        "PIP_CONFIG_FILE": "/dev/null",
    }
    argv = [
        sys.executable,
        "-m",
        "mimctl",
        "install",
        "--bundle",
        str(made),
        "--python",
        str(python),
        "--yes",
        "--json",
    ]
    done = subprocess.run(["unshare", "-rn", *argv], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["changes"]) == len(EVERYTHING)
    assert there(venv) == EVERYTHING


@without_network
def test_the_script_needs_only_python_and_no_network(
    site: Any, settings: Settings, tmp_path: Path, wheel_writer: Callable[..., Path]
) -> None:
    """The mimctl of this bundle only tells how it is called; the slow test has the real one."""
    site.entries = [each for each in site.entries if each["project"] != "mimctl"]
    files = {"mimctl/__init__.py": "", "mimctl/__main__.py": TELLING}
    wheel = wheel_writer(tmp_path / "other", "mimctl", "0.1.0", files, requires=["packaging"], extras=["engine"])
    site.add(wheel, requires=["packaging"])
    folder = tmp_path / "usb" / "it's here"
    api.bundle(folder, ["numpy"], settings=settings)
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path), "PYTHON": sys.executable}
    script = ["unshare", "-rn", "sh", str(folder / "install.sh"), str(tmp_path / "made")]
    done = subprocess.run(script, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    python = tmp_path / "made" / "bin" / "python"
    assert done.stdout == f"called: install --bundle {folder} --python {python} --yes\n"
    assert there(tmp_path / "made") == {"mimctl 0.1.0", "packaging 26.3"}
    (folder / "wheels" / "numpy-2.1.0-py3-none-any.whl").write_bytes(b"other")
    again = subprocess.run(script, env=environ, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "numpy-2.1.0-py3-none-any.whl: expected" in again.stderr


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


TAMPERING: dict[str, Callable[[Path], object]] = {
    "a longer wheel": lambda made: _append(next((made / "wheels").glob("numpy*"))),
    "a changed wheel": lambda made: _flip(next((made / "wheels").glob("numpy*"))),
    "a changed wheel of ours": lambda made: _flip(next((made / "index" / "files").glob("mimctl_det*.whl"))),
    "a changed lock": lambda made: _append(made / "pylock.toml"),
    "a changed script": lambda made: _append(made / "install.sh"),
    "a missing wheel": lambda made: next((made / "wheels").glob("pillow*")).unlink(),
    "one wheel too many": lambda made: shutil.copy(
        next((made / "wheels").glob("pillow*")), made / "wheels" / "pillow-99.0-py3-none-any.whl"
    ),
    "a link in place of a wheel": lambda made: _linked(next((made / "wheels").glob("pillow*"))),
}


def _linked(path: Path) -> None:
    outside = path.parents[2] / "outside.whl"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize("case", TAMPERING)
def test_a_tampered_bundle_is_refused_by_mimctl_and_by_its_script(
    case: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.open_bundle(made)
    assert check_bundle(made) == 0
    TAMPERING[case](made)
    error = refused(api.open_bundle, made)
    assert error.code == "damaged-bundle"
    assert len(error.causes) == 1
    assert check_bundle(made) == 1
    assert error.causes[0] in capsys.readouterr().err


def test_a_bundle_for_other_pythons_says_so(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (made / "manifest.json").read_text(encoding="utf-8")
    here = "{}.{}".format(*sys.version_info)
    (made / "manifest.json").write_text(text.replace(f'"python": "{here}"', '"python": "3.99"'), encoding="utf-8")
    assert check_bundle(made) == 1
    assert f"this bundle is for Python 3.99, found {here}" in capsys.readouterr().err


@pytest.mark.parametrize("manifest", [None, "{", "[]", '{"schema_version": 9, "files": {}}', '{"schema_version": 1}'])
def test_what_is_no_bundle(manifest: str | None, tmp_path: Path) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")
    assert refused(api.open_bundle, tmp_path).code == "not-a-bundle"


def test_a_manifest_that_leads_out_of_its_folder(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["../../etc/passwd"] = {"size": 1, "sha256": "0" * 64}
    (made / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert refused(api.open_bundle, made).code == "damaged-bundle"


def test_nobody_loses_a_folder_by_a_slip(settings: Settings, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("…", encoding="utf-8")
    assert refused(api.bundle, precious, ["det"], settings=settings).code == "not-a-bundle"
    assert (precious / "chapter1.tex").exists()


def test_without_mimctl_there_is_no_bundle(settings: Settings, site: Any, venv: Path, tmp_path: Path) -> None:
    site.entries = [each for each in site.entries if each["project"] != "mimctl"]
    site.write()
    error = refused(api.bundle, tmp_path / "usb", ["numpy"], settings=settings)
    assert error.code == "bundle-without-mimctl"
    api.lock(["numpy"], settings=settings)
    error = refused(api.bundle, tmp_path / "usb", lock_file=Path("pylock.toml"), settings=settings)
    assert error.code == "bundle-without-mimctl"


def test_a_lock_is_bundled_as_it_is(settings: Settings, public: Any, venv: Path, tmp_path: Path) -> None:
    api.lock(["det", "mimctl", "packaging"], settings=settings)
    public.add("numpy", "2.2.0")
    api.bundle(tmp_path / "usb", lock_file=Path("pylock.toml"), settings=settings)
    api.install_bundled(api.open_bundle(tmp_path / "usb"), settings=load(venv, tmp_path, "cache2"))
    assert there(venv) == EVERYTHING


def test_weights_that_a_config_names_are_carried_into_the_cache(
    site: Any, settings: Settings, venv: Path, tmp_path: Path, wheel_writer: Callable[..., Path]
) -> None:
    weights = tmp_path / "www" / "start.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    with serving(weights.parent) as server:
        url = f"{server.address}/start.pth"
        _with_toolbox(
            site, tmp_path, wheel_writer, f"model = dict(init_cfg=dict(type='Pretrained', checkpoint='{url}'))\n"
        )
        folder = tmp_path / "usb"
        api.bundle(folder, ["toy"], extras=api.Extras(configs=("small",)), settings=settings)
    found = api.open_bundle(folder)
    assert [(each.url, each.path.read_bytes()) for each in found.weights] == [(url, b"weights")]
    offline = load(venv, tmp_path, "cache2", offline=True)
    assert refused(fetch_weights, url, settings=offline).code == "offline"
    api.install_bundled(found, settings=offline)
    assert fetch_weights(url, settings=offline).read_bytes() == b"weights"


def test_weights_that_a_config_names_by_a_short_name_are_carried(
    site: Any, settings: Settings, venv: Path, tmp_path: Path, wheel_writer: Callable[..., Path]
) -> None:
    name = "open-mmlab://mmedit/mobilenet_v2"
    weights = tmp_path / "www" / "mmediting" / "third_party" / "mobilenet_v2.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    with serving(tmp_path / "www") as server:
        settings = replace(settings, mirrors={"download.openmmlab.com": server.address})
        _with_toolbox(
            site, tmp_path, wheel_writer, f"model = dict(init_cfg=dict(type='Pretrained', checkpoint='{name}'))\n"
        )
        api.bundle(tmp_path / "usb", ["toy"], extras=api.Extras(configs=("small",), weights=(name,)), settings=settings)
    found = api.open_bundle(tmp_path / "usb")
    assert [each.url.rpartition("/")[2] for each in found.weights] == ["mobilenet_v2.pth"]
    offline = load(venv, tmp_path, "cache2", offline=True)
    api.install_bundled(found, settings=offline)
    assert fetch_weights(name, settings=offline).read_bytes() == b"weights"


def test_models_of_the_zoo_are_carried_with_their_configs(
    site: Any, settings: Settings, venv: Path, tmp_path: Path, wheel_writer: Callable[..., Path]
) -> None:
    """`small` has published weights and a config in the toolbox, `other` lies in the index; nobody asks for `third`."""
    _with_toolbox(site, tmp_path, wheel_writer, "model = dict(depth=3)\n")
    published = tmp_path / "www" / "small-20220905.pth"
    published.parent.mkdir()
    published.write_bytes(b"published weights")
    folder = tmp_path / "usb"
    with serving(published.parent) as server:
        url = f"{server.address}/{published.name}"
        _with_zoo(site, published=url)
        api.bundle(folder, ["toy"], extras=api.Extras(configs=("small", "other")), settings=settings)
    moved = folder.rename(tmp_path / "elsewhere")
    found = api.open_bundle(moved)
    assert [(each.url, each.path.read_bytes()) for each in found.weights] == [(url, b"published weights")]
    away = load(venv, tmp_path, "cache2", offline=True)
    api.install_bundled(found, settings=away)
    assert fetch_weights(url, settings=away).read_bytes() == b"published weights"
    named = load(venv, tmp_path, "cache2", offline=True, index=(str(moved / "index"),))
    small, other = api.download("toy", ["small", "other"], dest=tmp_path / "models", settings=named)
    assert (small.checkpoint.read_bytes(), other.checkpoint.read_bytes()) == (b"published weights", b"our weights")
    assert "depth=3" in small.config.read_text(encoding="utf-8")
    assert "depth=4" in other.config.read_text(encoding="utf-8")
    assert refused(api.download, "toy", ["third"], settings=named).code == "unknown-model"


def _with_zoo(site: Any, *, published: str) -> None:
    """Put three models of the toolbox into the index."""
    files = site.folder / "zoo" / "files"
    files.mkdir(parents=True)
    (files / "other.pth").write_bytes(b"our weights")
    (files / "other_4x2.py").write_text("model = dict(depth=4)\n", encoding="utf-8")
    own = {"file": "zoo/files/other.pth", "sha256": sha256_of(files / "other.pth"), "size": 11}
    models = [
        {"name": "small", "config": "small.py", "weights": {"url": published}},
        {"name": "other_4x2", "config_file": "zoo/files/other_4x2.py", "weights": own},
        {"name": "third", "config": "small.py", "weights": {"url": f"{published}.absent"}},
    ]
    text = json.dumps({"schema_version": 1, "plugin": "toy", "models": models})
    (site.folder / "zoo" / "toy.json").write_text(text, encoding="utf-8")


def _with_toolbox(site: Any, tmp_path: Path, wheel_writer: Callable[..., Path], config: str) -> None:
    """Put a toolbox with one config, `small`, into the index."""
    files = {
        "mimctl_toy/__init__.py": "",
        "mimctl_toy/configs/small.py": config,
        "mimctl_toy/plugin.toml": (ROOT / "plugins/det/mimctl_det/plugin.toml")
        .read_text(encoding="utf-8")
        .replace('"det"', '"toy"'),
        "mimctl_toy-0.1.0.dist-info/entry_points.txt": "[mimctl.plugins]\ntoy = mimctl_toy\n",
    }
    wheel = wheel_writer(tmp_path / "toy", "mimctl-toy", "0.1.0", files)
    site.add(wheel)
    toolboxes = json.loads((site.folder / "toolboxes.json").read_text(encoding="utf-8"))
    toolboxes["toolboxes"]["toy"] = {"distribution": "mimctl-toy", "aliases": [], "summary": "", "scopes": []}
    (site.folder / "toolboxes.json").write_text(json.dumps(toolboxes), encoding="utf-8")


def test_a_config_that_no_bundled_toolbox_has(settings: Settings, tmp_path: Path) -> None:
    error = refused(api.bundle, tmp_path / "usb", ["det"], extras=api.Extras(configs=("ghost",)), settings=settings)
    assert error.code == "config-not-found"
    assert not (tmp_path / "usb").exists()


def test_data_is_carried_and_may_be_added_to(settings: Settings, tmp_path: Path) -> None:
    data = tmp_path / "balloons"
    (data / "train").mkdir(parents=True)
    (data / "train" / "1.jpg").write_bytes(b"picture")
    folder = tmp_path / "usb"
    api.bundle(folder, ["det"], extras=api.Extras(datasets=(data,)), settings=settings)
    found = api.open_bundle(folder)
    assert [(each / "train" / "1.jpg").read_bytes() for each in found.folders] == [b"picture"]
    (folder / "data" / "notes.txt").write_text("mine", encoding="utf-8")
    api.open_bundle(folder)
    (folder / "data" / "balloons" / "train" / "1.jpg").write_bytes(b"another")
    assert refused(api.open_bundle, folder).code == "damaged-bundle"


def test_weights_are_named_by_their_address(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no address"):
        api.bundle(tmp_path / "usb", ["det"], extras=api.Extras(weights=("my.pth",)), settings=settings)


def test_the_index_and_the_wheels_of_a_bundle_serve_other_commands(made: Path, venv: Path, tmp_path: Path) -> None:
    settings = load(venv, tmp_path, "cache2", index=(str(made / "index"),), offline=True)
    options = InstallOptions(no_index=True, find_links=(str(made / "wheels"),))
    plan = api.prepare_install(["mimctl-ops"], options, settings=settings)
    assert {each.name for each in plan.changes} == {"mimctl-ops", "torch"}
