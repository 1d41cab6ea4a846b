"""Detection reads facts from their files, keeps their sources, and imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mimctl.environment.detect import detect
from mimctl.environment.distributions import archive_sha256, normalise, scan
from mimctl.environment.installed import release_of
from mimctl.environment.target import find_target
from mimctl.environment.torch import find_torch, parse_version_file
from mimctl.errors import MimctlError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def venv(tmp_path_factory):
    folder = tmp_path_factory.mktemp("target") / "my envs" / "größe"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "torch").mkdir()
    (site / "torch/version.py").write_text("__version__ = '2.12.0+cu130'\ncuda: Optional[str] = '13.0'\nhip = None\n")
    (site / "torch/__init__.py").write_text("raise RuntimeError('nobody may import this')\n")
    for name in ("torch-2.12.0+cu130.dist-info", "Foo_Bar-1.0.dist-info", "~orch-2.0.dist-info"):
        (site / name).mkdir()
    (site / "cv2").mkdir()
    (site / "cv2/__init__.py").touch()
    return folder


def test_another_interpreter_is_asked_and_torch_is_read_without_import(venv):
    env = detect(venv, environ={"MIMCTL_DRIVER": "none"})
    assert env.target.python == venv / "bin/python"
    assert not env.target.is_own
    assert env.python.value == ".".join(map(str, sys.version_info[:3]))
    assert env.torch.value.version == "2.12.0+cu130"
    assert (env.torch.value.label, env.torch.value.backend, env.torch.value.cuda_major) == ("cu130", "cuda", 13)
    assert env.torch.source.endswith("torch/version.py")
    assert env.paths.prefix == venv
    assert env.paths.is_virtual
    assert {"torch", "foo-bar"} <= set(env.distributions)
    assert "orch" not in env.distributions
    assert env.cv2.value == env.paths.purelib / "cv2/__init__.py"
    assert env.pip.value is None


def test_own_and_asked_facts_agree():
    asked = subprocess.run(
        [sys.executable, str(ROOT / "mimctl/environment/probe.py")], capture_output=True, text=True, check=True
    )
    env = detect(Path(sys.executable), environ={"MIMCTL_DRIVER": "none"})
    facts = json.loads(asked.stdout)
    assert env.target.is_own
    assert (env.python.value, env.abi.value) == (facts["version"], facts["abi"])
    assert str(env.paths.purelib) == facts["paths"]["purelib"]


def test_files_in_the_current_folder_do_not_run(venv, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    assert detect(venv, environ={"MIMCTL_DRIVER": "none"}).python.value


def test_detection_imports_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules)\n"
        "from mimctl.environment.detect import detect; detect()\n"
        "heavy = {'torch', 'numpy', 'packaging', 'requests', 'rich', 'click', 'yaml', 'importlib.metadata'}\n"
        "print(sorted(heavy & set(sys.modules)), len(set(sys.modules) - before))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("] ")
    assert said[0] == "["
    assert int(said[1]) <= 100


def test_a_broken_interpreter_is_named(tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho no >&2\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(MimctlError) as caught:
        detect(fake, environ={})
    assert caught.value.code == "python-unusable"
    assert caught.value.causes[0] == "it exited 3: no"


def test_an_old_python_is_refused(tmp_path):
    fake = tmp_path / "python"
    facts = {"implementation": "cpython", "version": "3.9.2"}
    fake.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    fake.chmod(0o755)
    with pytest.raises(MimctlError) as caught:
        detect(fake, environ={})
    assert caught.value.code == "python-too-old"


def test_a_python_that_does_not_know_the_language_is_too_old(tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho '  File \"<string>\", line 3\nSyntaxError: invalid syntax' >&2\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(MimctlError) as caught:
        detect(fake, environ={})
    assert (caught.value.code, caught.value.message) == ("python-too-old", "the Python there is too old")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("{}", "it is None; torch has wheels for CPython only"),
        ('{"implementation": "pypy", "version": "3.11.9"}', "it is pypy; torch has wheels for CPython only"),
        ('{"implementation": "cpython", "version": "3.12.1"}', "it does not say abi, base_prefix, "),
        ('{"implementation": "cpython", "version": 3}', "it is cpython"),
        ("[]", "it exited 0: it said nothing"),
        ("hello", "JSONDecodeError"),
        ("", "IndexError"),
    ],
)
def test_an_interpreter_that_answers_oddly_is_named(tmp_path, said, cause):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho '{said}'\n" if said else "#!/bin/sh\n")
    fake.chmod(0o755)
    with pytest.raises(MimctlError) as caught:
        detect(fake, environ={})
    assert caught.value.code == "python-unusable"
    assert caught.value.causes[0].startswith(cause)


def _fake_python(folder):
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin/python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return python


def test_target_order(tmp_path):
    named, told, active, local, conda = (_fake_python(tmp_path / name) for name in ("a", "b", "c", "p/.venv", "e"))
    everything = {"MIMCTL_PYTHON": str(told), "VIRTUAL_ENV": str(tmp_path / "c"), "CONDA_PREFIX": str(tmp_path / "e")}
    folder = tmp_path / "p"
    assert find_target(named, environ=everything, folder=folder).python == named
    target = find_target(None, environ=everything, folder=folder)
    assert (target.python, target.source) == (told, "MIMCTL_PYTHON")
    del everything["MIMCTL_PYTHON"]
    assert find_target(None, environ=everything, folder=folder).python == active
    del everything["VIRTUAL_ENV"]
    target = find_target(None, environ=everything, folder=folder)
    assert (target.python, target.source) == (local, "./.venv")
    target = find_target(None, environ=everything, folder=tmp_path)
    assert target.is_own
    assert conda.exists()


@pytest.mark.parametrize("marker", ["pipx_metadata.json", "uv-receipt.toml"])
def test_a_tool_environment_is_no_target(tmp_path, monkeypatch, marker):
    (tmp_path / marker).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    conda = _fake_python(tmp_path / "conda")
    assert find_target(None, environ={"CONDA_PREFIX": str(tmp_path / "conda")}, folder=tmp_path).python == conda
    with pytest.raises(MimctlError) as caught:
        find_target(None, environ={}, folder=tmp_path)
    assert caught.value.code == "no-target"
    assert "tool environment" in caught.value.causes[0]


def test_a_target_that_is_not_there_is_named_with_its_source(tmp_path):
    with pytest.raises(MimctlError) as caught:
        find_target(None, environ={"VIRTUAL_ENV": str(tmp_path / "gone")}, folder=tmp_path)
    assert caught.value.causes == ("named by VIRTUAL_ENV",)


@pytest.mark.parametrize(
    ("text", "version", "backend", "cuda"),
    [
        (
            "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n",
            "2.13.0+cpu",
            "cpu",
            None,
        ),
        ('__version__ = "2.4.1+cu121"\ncuda = "12.1"\nhip = None\n', "2.4.1+cu121", "cuda", "12.1"),
        ("__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "2.13.0", "cuda", "13.0"),
        ("__version__ = '2.13.0+rocm6.4'\ncuda = None\nhip: Optional[str] = '6.4.4'\n", "2.13.0+rocm6.4", "rocm", None),
    ],
)
def test_torch_version_files(text, version, backend, cuda):
    torch = parse_version_file(text)
    assert (torch.version, torch.backend, torch.cuda) == (version, backend, cuda)


def test_torch_folder_without_version_file_is_no_torch(tmp_path):
    (tmp_path / "torch").mkdir()
    assert find_torch([tmp_path], None).value is None


def test_distributions_are_read_from_folder_names(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in ("first/Foo_Bar-1.0.dist-info", "first/old-0.1-py3.11.egg-info", "second/foo_bar-2.0.dist-info"):
        (tmp_path / folder).mkdir(parents=True)
    found = scan([first, tmp_path / "absent", second])
    assert {name: each.version for name, each in found.items()} == {"foo-bar": "1.0", "old": "0.1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"url": "file:///a.whl", "archive_info": {"hashes": {"sha256": "abc"}}}', "abc"),
        ('{"url": "file:///a.whl", "archive_info": {"hash": "sha256=abc"}}', "abc"),
        ('{"url": "file:///a.whl#sha256=abc", "archive_info": {}}', "abc"),
        ('{"url": "file:///a", "dir_info": {}}', None),
        ("not json", None),
    ],
)
def test_recorded_hash(tmp_path, text, expected):
    folder = tmp_path / "foo-1.0.dist-info"
    folder.mkdir()
    (folder / "direct_url.json").write_text(text)
    assert archive_sha256(scan([tmp_path])["foo"]) == expected


def test_names_are_normalised():
    assert [normalise(name) for name in ("Mimctl_Det", "a.-_b", "X")] == ["mimctl-det", "a-b", "x"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("2.13.0+cu130", (2, 13, 0)), ("2.14.0a0+git1", (2, 14, 0)), ("580.65.06", (580, 65, 6)), ("weird", ())],
)
def test_release_numbers(text, numbers):
    assert release_of(text) == numbers
