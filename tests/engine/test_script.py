"""A script as a rank: started as Python starts it, its end one error, its farewell its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimctl import __version__
from mimctl.engine.script import exit_code
from mimctl.spec import LauncherFacts, RunSpec


def start(
    folder: Path, text: str, *words: str, kind: str = "file", target: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a child with the script `text`; `MIMCTL_ERROR_DIR` is the folder."""
    script = folder / "its own" / "script.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(text)
    spec = RunSpec(
        plugin="toy",
        package="mimctl_toy",
        action="run",
        entry="mimctl.engine.script:run",
        mimctl_version=__version__,
        inputs=words,
        options={"kind": kind, "target": target or str(script), "name": "script"},
        launcher=LauncherFacts(kind="pytorch", num_procs=2),
    )
    spec.write(folder / "spec.json")
    return subprocess.run(
        [sys.executable, "-P", "-m", "mimctl.engine.child", str(folder / "spec.json")],
        cwd=folder,
        env={**os.environ, "MIMCTL_ERROR_DIR": str(folder), "RANK": "1", "WORLD_SIZE": "2", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("code", "number"), [(None, 0), (0, 0), (7, 7), (True, 1), (-1, 255), (256, 0), (300, 44), ("a text", 1), ([], 1)]
)
def test_the_exit_code_is_what_python_makes_of_it(code: object, number: int) -> None:
    assert exit_code(SystemExit(code)) == number
    line = [sys.executable, "-c", f"raise SystemExit({code!r})"]
    assert subprocess.run(line, stderr=subprocess.DEVNULL).returncode == number


def test_a_script_finds_what_it_would_find_by_hand(tmp_path: Path) -> None:
    text = (
        "import multiprocessing, os, pickle, sys, beside\n"
        "class Own: pass\n"
        "def double(number): return 2 * number\n"
        "if __name__ == '__main__':\n"
        "    assert isinstance(pickle.loads(pickle.dumps(Own())), Own)\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(double, [21]), sys.argv[1:], sys.path[0] == os.path.dirname(__file__), beside.HERE)\n"
    )
    (tmp_path / "its own").mkdir()
    (tmp_path / "its own" / "beside.py").write_text("HERE = True\n")
    (tmp_path / "pickle.py").write_text("raise SystemExit('a module of the current folder')\n")
    done = start(tmp_path, text, "a b", "--x")
    assert (done.returncode, done.stdout) == (0, "[42] ['a b', '--x'] True True\n"), done.stderr
    assert (tmp_path / "done-1").exists()


def test_what_is_left_for_the_end_is_done_on_every_rank(tmp_path: Path) -> None:
    text = (
        "import atexit, threading, time\n"
        "atexit.register(lambda: print('bye'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('last'))).start()\n"
    )
    done = start(tmp_path, text)
    assert (done.returncode, done.stdout) == (0, "last\nbye\n"), done.stderr


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("import sys; sys.exit(9)", 9, ("script-failed", "`script` of `toy` ended with exit code 9")),
        ("raise SystemExit('no data')", 1, ("script-failed", "`script` of `toy` ended with exit code 1")),
        ("import torchh", 1, ("child-crashed", "ModuleNotFoundError: No module named 'torchh'")),
        ("def f(: pass", 1, ("child-crashed", "SyntaxError: invalid syntax (script.py, line 1)")),
        ("raise ValueError", 1, ("child-crashed", "ValueError: no message")),
    ],
)
def test_how_a_rank_failed_is_left_for_who_looks_after_it(
    tmp_path: Path, text: str, code: int, told: tuple[str, str]
) -> None:
    done = start(tmp_path, text)
    assert done.returncode == code
    error = json.loads((tmp_path / "error-1.json").read_text())
    assert (error["code"], error["message"], error["exit_code"]) == (*told, code)
    assert "runpy" not in error["details"].get("traceback", "")
    assert "engine/script.py" not in error["details"].get("traceback", "")
    assert not (tmp_path / "done-1").exists()


def test_modules_and_commands_are_started_by_their_names(tmp_path: Path) -> None:
    module = start(tmp_path, "", "-h", kind="module", target="json.tool")
    assert module.returncode == 0, module.stderr
    assert module.stdout.startswith("usage: ")
    command = start(tmp_path, "", kind="console", target="platform:python_version")
    assert command.returncode == 1, "a text is no success"
    assert command.stderr.startswith(sys.version.split()[0])
