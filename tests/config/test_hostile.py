"""Files that want more than to be data: refused with a line, quickly, in bounded memory, and nothing happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import hostile_configs
import pytest

from mimctl.config import Config
from mimctl.errors import ConfigError

MOST_SECONDS = 10.0
"""Of CPU time: five times what is promised, for a machine that is slower or busy."""
MOST_MIB = 200
REFUSALS = {"config-limits", "config-syntax", "config-value", "config-not-data", "config-base", "config-format"}

RUN = """
import json, os, resource, sys, time
from mimctl.config import Config
from mimctl.errors import MimctlError

def peak():
    # VmHWM counts from the start or fork of this process; ru_maxrss would carry over from the process that started it
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

def attempt(text, suffix):
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    before, start = peak(), time.process_time()
    try:
        Config.fromstring(text, suffix).pretty_text
        code = "accepted"
    except MimctlError as err:
        code = err.code
    except BaseException as err:
        code = f"{type(err).__name__}: {err}"[:100]
    return code, time.process_time() - start, (peak() - before) // 1024

found = {}
for name, text in json.load(sys.stdin).items():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps(attempt(text, sys.argv[1])).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        found[name] = json.loads(answer.read() or '["killed", 99, 0]')
    os.waitpid(child, 0)
print(json.dumps(found))
"""


def run_bounded(texts: dict[str, str], suffix: str, folder: Path) -> dict[str, str]:
    """Evaluate each text in a process of its own, in `folder`; return name → code, after holding all to the bounds."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, suffix],
        input=json.dumps(texts),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, tuple[str, float, int]] = json.loads(done.stdout)
    too_dear = {name: each for name, each in found.items() if each[1] > MOST_SECONDS or each[2] > MOST_MIB}
    assert too_dear == {}
    assert list(folder.iterdir()) == [], "something ran"
    return {name: each[0] for name, each in found.items()}


@pytest.mark.parametrize("text", hostile_configs.CODE.values(), ids=hostile_configs.CODE.keys())
def test_what_would_run_code_is_refused_with_its_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        Config.fromstring(text, ".py", origin="hostile.py")
    assert caught.value.origin is not None
    assert caught.value.origin.line is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", ["BOMBS", "YAML", "JSON"])
def test_bombs_are_refused_in_bounded_time_and_memory(table: str, tmp_path: Path) -> None:
    suffix = {"BOMBS": ".py", "YAML": ".yaml", "JSON": ".json"}[table]
    codes = run_bounded(getattr(hostile_configs, table), suffix, tmp_path)
    assert {name: code for name, code in codes.items() if code not in REFUSALS} == {}


def test_what_is_only_odd_is_read_within_the_same_bounds_and_nothing_runs(tmp_path: Path) -> None:
    codes = run_bounded({**hostile_configs.ODD, **hostile_configs.INERT}, ".py", tmp_path)
    assert set(codes.values()) == {"accepted"}


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.py"
    large.write_bytes(b"#" * 400_001)
    with pytest.raises(ConfigError, match="larger than 400 kB"):
        Config.fromfile(large)
    for name, raw in {"latin.py": b"x = 1\ny = '\xff\xfe'\n", "wide.py": "x = 1\ny = 'ä'".encode("utf-16")}.items():
        binary = tmp_path / name
        binary.write_bytes(raw)
        with pytest.raises(ConfigError) as caught:
            Config.fromfile(binary)
        assert caught.value.code == "config-syntax"
        assert caught.value.origin is not None
        assert caught.value.origin.line in (1, 2)


@pytest.mark.parametrize("role", ["config", "base", "pure-Python base"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "broken link", "link to itself", "socket"])
def test_what_is_no_file_is_refused_at_once(kind: str, role: str, tmp_path: Path) -> None:
    odd = tmp_path / "odd.py"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "device":
        odd.symlink_to("/dev/zero")
    elif kind == "folder":
        odd.mkdir()
    elif kind == "socket":
        import socket

        monkey = socket.socket(socket.AF_UNIX)
        here = Path.cwd()
        os.chdir(tmp_path)  # the address of a socket is short
        monkey.bind("odd.py")
        os.chdir(here)
        monkey.close()
    else:
        odd.symlink_to("nothing.py" if kind == "broken link" else "odd.py")
    child = tmp_path / "child.py"
    read = "from mmengine.config import read_base\nwith read_base():\n    from .odd import *"
    child.write_text("_base_ = './odd.py'" if role == "base" else read)
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(odd if role == "config" else child)
    assert caught.value.code in ("config-format", "config-not-found", "config-base")


BASES = {
    "no config by its name": ("_base_ = '../secret.txt'", "config-format"),
    "a system file": ("_base_ = '/etc/passwd'", "config-format"),
    "null character": ("_base_ = 'a\\0b.py'", "config-base"),
    "null character in a folder": ("_base_ = 'a\\0/b.py'", "config-base"),
    "address": ("_base_ = 'https://127.0.0.1:1/base.py'", "config-base"),
    "file address": ("_base_ = 'file:///etc/passwd'", "config-base"),
    "home": ("_base_ = '~/base.py'", "config-base"),
    "empty": ("_base_ = ''", "config-base"),
    "number": ("_base_ = 5", "config-base"),
    "nested": ("_base_ = [['a.py']]", "config-base"),
    "call": ("import os\n_base_ = os.popen('touch MARK').read()", "config-value"),
    "long name": ("_base_ = 'a' * 100000 + '.py'", "config-base"),
    "toolbox that nobody looks up": ("_base_ = 'pkg::../../secret.py'", "config-base"),
    "surrogate": ("_base_ = '\\udc80.py'", "config-base"),
}


@pytest.mark.parametrize(("text", "code"), BASES.values(), ids=BASES.keys())
def test_a_base_that_is_no_config_is_refused_with_its_line(
    text: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text("x = 1")
    child = tmp_path / "inner" / "child.py"
    child.parent.mkdir()
    child.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(child)
    assert caught.value.code == code
    assert not (tmp_path / "MARK").exists()


def test_deep_and_many_bases_and_circles_are_refused(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"chain{number}.py").write_text(f"_base_ = 'chain{number + 1}.py'")
        (tmp_path / f"leaf{number}.py").write_text(f"k{number} = 1")
        (tmp_path / f"twice{number}.py").write_text(f"_base_ = ['twice{number + 1}.py', 'twice{number + 1}.py']")
    (tmp_path / "wide.py").write_text("_base_ = [f'leaf{i}.py' for i in range(300)]")
    (tmp_path / "self.py").write_text("_base_ = 'self.py'")
    (tmp_path / "pure.py").write_text(
        "from mmengine.config import read_base\nwith read_base():\n    from .pure import *"
    )
    heavy = "x = list(range(400000))"
    (tmp_path / "heavy.py").write_text("_base_ = [f'heavy{i}.py' for i in range(100)]")
    for number in range(100):
        (tmp_path / f"heavy{number}.py").write_text(heavy.replace("x", f"x{number}"))
    for name, code in {
        "chain0.py": "config-limits",
        "wide.py": "config-limits",
        "twice0.py": "config-limits",
        "heavy.py": "config-limits",
        "self.py": "config-base",
        "pure.py": "config-base",
    }.items():
        with pytest.raises(ConfigError) as caught:
            Config.fromfile(tmp_path / name)
        assert caught.value.code == code, name


@pytest.mark.parametrize("base", ["base.py", "/etc/base.py", "../base.py"])
def test_text_reaches_no_file(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text("secret = 1")
    for text in (f"_base_ = '{base}'", "from x import read_base\nwith read_base():\n    from .base import *"):
        with pytest.raises(ConfigError) as caught:
            Config.fromstring(text)
        assert caught.value.code == "config-base"


@pytest.mark.parametrize(
    "text",
    [
        "_base_.a.b.append(_base_.a)",
        "_base_.c.append(_base_.c)",
        "_base_.a.b.append(_base_)",
        "x = '{{ _base_.c }}'\nx.append(x)\ndel x",
        "for i in range(60):\n    _base_.c.append(_base_.c[:])",
        "for i in range(60):\n    _base_.a.x = dict(y=_base_.a, z=_base_.a)",
        "for i in range(60):\n    _base_.a.update(x=dict(_base_.a), y=dict(_base_.a))",
    ],
)
def test_circles_and_growth_inside_the_base_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("a = dict(b=[1])\nc = [1]")
    child = tmp_path / "child.py"
    child.write_text(f"_base_ = 'base.py'\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(child)
    assert caught.value.code == "config-limits"


@pytest.mark.parametrize("suffix", [".py", ".yaml", ".json"])
def test_odd_text_survives_a_dump(suffix: str, tmp_path: Path) -> None:
    config = Config.fromstring("z = '\\\\uD83D'\nx = '\\udc80\\0\\u202e'\ny = {'\\udc80': '\\x1b[31m'}")
    target = tmp_path / f"dumped{suffix}"
    if suffix == ".yaml":
        with pytest.raises(ConfigError, match="surrogate"):
            config.dump(target)
        config = Config.fromstring("z = '\\\\uD83D'\nx = '\\0\\u202e'\ny = {'\\x85': '\\x1b[31m'}")
    config.dump(target)
    assert Config.fromfile(target) == config


def test_evaluating_configs_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from mimctl.config import Config; Config.fromstring('import torch\\nx = dict(t=torch.float16)');"
        "assert not {'torch', 'numpy', 'click', 'rich', 'requests'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
