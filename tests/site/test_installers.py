"""Unmodified pip and uv install from the index over HTTP, into real virtual environments.

The versions that are installed here always; the oldest that are supported and the newest, from the package index that
pip is set up for, in the slow tests.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from static_server import Server, serving
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl.site.build import SiteSources, build_site
from mimctl.site.yank import yank

PLATFORM = f"manylinux_2_17_{os.uname().machine}"
FAT = f"mimctl_ops-0.1.0-py3-none-{PLATFORM}.whl"
ANY = "mimctl_ops-0.1.0-py3-none-any.whl"
WITHDRAWN = "mimctl_ops-0.2.0-py3-none-any.whl"

OLDEST = {"pip": "22.3", "uv": "0.5.0"}
"""pip 22.3 comes with Python 3.11; docs/reference/index-layout.md says what is supported."""
ELSEWHERE = {
    "pip": ["macosx_11_0_arm64", "win_amd64", "musllinux_1_2_x86_64"],
    "uv": ["aarch64-apple-darwin", "x86_64-pc-windows-msvc", "x86_64-unknown-linux-musl"],
}


@dataclass(frozen=True)
class Tool:
    """One version of pip or uv."""

    name: str
    argv: list[str]
    checks_hashes_of_its_own: bool = True
    """Whether it checks the hash that the index names where nobody asked for it."""
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it without anybody's configuration."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            clean.pop(name, None)
            clean.pop(name.upper(), None)
        clean |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **self.env}
        return subprocess.run([*self.argv, *arguments], env=clean, capture_output=True, text=True, timeout=300)


@pytest.fixture(
    params=[
        "pip",
        "uv",
        *(pytest.param(f"{name} {which}", marks=pytest.mark.slow) for name in OLDEST for which in ("oldest", "newest")),
    ]
)
def tool(request: pytest.FixtureRequest, fetched: Callable[[str], Path]) -> Tool:
    """Return pip or uv in one version."""
    name, _, which = request.param.partition(" ")
    unpacked = fetched(f"{name}=={OLDEST[name]}" if which == "oldest" else name) if which else None
    if name == "pip":
        argv = [sys.executable, "-m", "pip", "--isolated"]
        return Tool(name=name, argv=argv, env={"PYTHONPATH": str(unpacked)} if unpacked else {})
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    binary = str(next(unpacked.glob("*.data/scripts/uv"))) if unpacked else shutil.which("uv", path=here)
    if binary is None:
        pytest.skip("uv is not installed")
    Path(binary).chmod(0o755)
    return Tool(name=name, argv=[binary, "--no-config", "pip"], checks_hashes_of_its_own=which != "oldest")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve an index with a fat, a pure and labelled wheels of mimctl-ops, and a withdrawn newer one."""
    folder = tmp_path_factory.mktemp("index")
    write_ops_wheel(folder / "wheels", "cu13", platform=PLATFORM, kind="fat")
    write_ops_wheel(folder / "wheels", "python")
    for backend in ("cpu", "cu13"):
        write_ops_wheel(folder / "wheels", backend, version=f"0.1.0+{backend}", platform=PLATFORM)
    write_ops_wheel(folder / "wheels", "python", version="0.2.0", kind="withdrawn")
    build_site(SiteSources(wheels=[folder / "wheels"]), folder / "site")
    yank(folder / "site", [WITHDRAWN], reason="its gradients are wrong")
    with serving(folder / "site") as running:
        yield running


@pytest.fixture
def python(tmp_path: Path, server: Server) -> Path:
    """Return the interpreter of an empty virtual environment."""
    server.asked.clear()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return tmp_path / "venv" / "bin" / "python"


def install(tool: Tool, python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if tool.name == "pip":
        return tool("--python", str(python), "install", "--no-cache-dir", *arguments)
    return tool("install", "--no-cache", "--python", str(python), *arguments)


def kind(python: Path) -> str:
    """Return the kind of wheel that is installed."""
    code = "from mimctl_ops.kind import KIND; print(KIND)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def well(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_platform_wheel_is_taken_from_simple(tool: Tool, python: Path, server: Server) -> None:
    well(install(tool, python, "--no-deps", "--index-url", f"{server.address}/simple", "mimctl-ops"))
    assert kind(python) == "fat"
    assert server.wheels_asked
    assert set(server.wheels_asked) == {FAT}


def test_a_backend_s_index_gives_the_labelled_wheel(tool: Tool, python: Path, server: Server) -> None:
    for backend in ("cpu", "cu13"):
        index = f"{server.address}/whl/{backend}"
        well(install(tool, python, "--no-deps", "--upgrade", "--index-url", index, "mimctl_ops"))
        assert kind(python) == backend
        well(install(tool, python, "--no-deps", "--index-url", index, "mimctl_ops==0.1.0"))
        assert kind(python) == backend, "a version without a label is satisfied by any label"
        shutil.rmtree(next(python.parents[1].glob("lib/*/site-packages")) / "mimctl_ops")
        shutil.rmtree(next(python.parents[1].glob("lib/*/site-packages/mimctl_ops-*")))


@pytest.mark.parametrize("folder", ["simple", "whl/cpu"])
def test_a_constraint_leaves_torch_alone(tool: Tool, python: Path, server: Server, tmp_path: Path, folder: str) -> None:
    for version in ("2.13.0", "2.15.0"):
        write_wheel(tmp_path / "torch", f"torch-{version}-py3-none-any.whl")
    ours = write_wheel(tmp_path / "local", "torch-2.13.0+cpu-py3-none-any.whl")
    build_site(SiteSources(wheels=[tmp_path / "torch"]), tmp_path / "public")
    well(install(tool, python, "--no-deps", str(ours)))
    packages = next(python.parents[1].glob("lib/*/site-packages"))
    before = {path: path.stat().st_mtime_ns for path in packages.glob("torch*/*")}
    (tmp_path / "torch.txt").write_text("torch==2.13.0+cpu\n", encoding="utf-8")
    with serving(tmp_path / "public") as public:
        places = ["--index-url", f"{public.address}/simple", "--extra-index-url", f"{server.address}/{folder}"]
        well(install(tool, python, "-c", str(tmp_path / "torch.txt"), *places, "mimctl-ops"))
        assert public.wheels_asked == []
    assert kind(python) == {"simple": "fat", "whl/cpu": "cpu"}[folder]
    assert {path: path.stat().st_mtime_ns for path in packages.glob("torch*/*")} == before


def test_the_pure_wheel_serves_where_there_is_no_build(tool: Tool, server: Server, tmp_path: Path) -> None:
    for number, platform in enumerate(ELSEWHERE[tool.name]):
        server.asked.clear()
        target = tmp_path / str(number)
        places = ["--no-deps", "--index-url", f"{server.address}/{'whl/cpu' if number else 'simple'}", "mimctl-ops"]
        if tool.name == "pip":
            options = ["--no-cache-dir", "--only-binary=:all:", "--platform", platform, "--dest", str(target)]
            well(tool("download", *options, *places))
            assert [path.name for path in target.iterdir()] == [ANY]
        else:
            options = ["--no-cache", "--python", sys.executable, "--python-platform", platform]
            well(tool("install", *options, "--target", str(target), *places))
            assert "'python'" in (target / "mimctl_ops/kind.py").read_text(encoding="utf-8")
        assert set(server.wheels_asked) == {ANY}


def test_a_withdrawn_wheel_is_taken_only_where_it_is_pinned(tool: Tool, python: Path, server: Server) -> None:
    index = ["--no-deps", "--index-url", f"{server.address}/simple"]
    well(install(tool, python, *index, "mimctl-ops>=0.1"))
    assert kind(python) == "fat"
    said = well(install(tool, python, *index, "mimctl-ops==0.2.0"))
    assert kind(python) == "withdrawn"
    assert "its gradients are wrong" in said


def test_resolution_reads_metadata_and_no_wheel(tool: Tool, python: Path, server: Server, tmp_path: Path) -> None:
    ours = write_wheel(tmp_path / "local", "torch-2.13.0-py3-none-any.whl")
    well(install(tool, python, "--no-deps", str(ours)))
    well(install(tool, python, "--dry-run", "--index-url", f"{server.address}/simple", "mimctl-ops"))
    version = tuple(map(int, tool("--version").stdout.split()[1].split(".")[:2])) if tool.name == "pip" else (99, 0)
    if version >= (23, 2):
        assert f"/files/{FAT}.metadata" in server.asked
    if version >= (25, 3):  # older ones fetch what they would install
        assert server.wheels_asked == []
    assert set(server.wheels_asked) <= {FAT}, "no wheel is fetched only to be rejected"


def test_a_name_may_be_spelled_as_one_likes(tool: Tool, python: Path, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "My_Toolbox-1.0-py3-none-any.whl", title="My_Toolbox")
    build_site(SiteSources(wheels=[tmp_path / "wheels"]), tmp_path / "site")
    with serving(tmp_path / "site") as running:
        well(install(tool, python, "--index-url", f"{running.address}/simple", "my.toolbox"))
    assert list(python.parents[1].glob("lib/*/site-packages/My_Toolbox"))


def test_another_file_is_refused(tool: Tool, python: Path, tmp_path: Path) -> None:
    write_ops_wheel(tmp_path / "wheels", "python")
    build_site(SiteSources(wheels=[tmp_path / "wheels"]), tmp_path / "site")
    expected = hashlib.sha256((tmp_path / "site/files" / ANY).read_bytes()).hexdigest()
    (tmp_path / "site/files" / ANY).write_bytes(write_ops_wheel(tmp_path / "evil", "python", kind="evil").read_bytes())
    (tmp_path / "pinned.txt").write_text(f"mimctl-ops==0.1.0 --hash=sha256:{expected}\n", encoding="utf-8")
    with serving(tmp_path / "site") as running:
        index = ["--no-deps", "--index-url", f"{running.address}/simple"]
        done = install(tool, python, *index, "--require-hashes", "-r", str(tmp_path / "pinned.txt"))
        assert done.returncode != 0
        assert "DO NOT MATCH THE HASHES" in done.stderr if tool.name == "pip" else "Hash mismatch" in done.stderr
        if tool.checks_hashes_of_its_own:
            assert install(tool, python, *index, "mimctl-ops").returncode != 0
    assert not list(python.parents[1].glob("lib/*/site-packages/mimctl_ops"))
