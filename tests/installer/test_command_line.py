"""`mimctl install` as it is typed: exit codes, what stands on which stream, questions, signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from patience import wait_until
from toy_toolbox import ROOT, Said, command


@dataclass
class Typist:
    """Types lines for the environment of a bench."""

    bench: Any
    environment: dict[str, str]
    folder: Path

    def type(self, *words: str, **variables: str) -> Said:
        """Run one line with no terminal in sight."""
        done = subprocess.run(
            command(*words),
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def type_on_a_terminal(self, *words: str, answer: str = "") -> tuple[int, str]:
        """Run one line on a terminal and give one answer to the first question."""
        leader, follower = pty.openpty()
        streams = {"stdin": follower, "stdout": follower, "stderr": follower}
        with subprocess.Popen(command(*words), **streams, cwd=self.folder, env=self.environment) as run:
            os.close(follower)
            shown = b""
            while True:
                try:
                    more = os.read(leader, 4096)
                except OSError:
                    break
                if not more:
                    break
                shown += more
                if answer and b"[Y/n]" in shown:
                    os.write(leader, f"{answer}\n".encode())
                    answer = ""
            code = run.wait(240)
        os.close(leader)
        return code, shown.decode()


@pytest.fixture
def typist(uv_bench, tmp_path) -> Typist:
    """Return who types; installer, index and target stand in variables."""
    folder = tmp_path / "a folder with blänks"
    folder.mkdir()
    own = {
        "HOME": str(tmp_path / "home"),
        "MIMCTL_HOME": str(tmp_path / "settings"),
        "MIMCTL_CACHE_DIR": str(uv_bench.cache),
        "MIMCTL_INDEX_URL": uv_bench.site.url,
        "MIMCTL_PYTHON": str(uv_bench.venv),
        "PYTHONPATH": str(ROOT),
    }
    gone = ("FORCE_COLOR", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    return Typist(bench=uv_bench, environment={**environment, **own}, folder=folder)


OURS = {"mimctl", "mimctl-det", "mimctl-ops", "numpy", "opencv-python-headless", "pillow", "torch"}


def test_a_dry_run_is_one_document_and_downloads_no_wheel(typist):
    before = typist.bench.files()
    said = typist.type("install", "det", "--dry-run", "--json")
    assert (said.code, said.err) == (0, "")
    document = json.loads(said.out)
    assert {each["name"] for each in document["changes"]} == OURS
    assert (document["schema_version"], document["dry_run"], document["nothing_to_do"]) == (1, True, False)
    asked = [path for path in typist.bench.public.asked if path.endswith(".whl")]
    assert not [path for path in asked if typist.folder.parent.name in path]
    assert typist.bench.files() == before


def test_without_a_terminal_nothing_is_asked_and_again_there_is_nothing_to_do(typist):
    said = typist.type("install", "det")
    assert said.code == 0
    assert {line.split()[1] for line in said.out.splitlines() if line.startswith("installed ")} == OURS
    assert "\x1b" not in said.out + said.err
    before = typist.bench.files()
    again = typist.type("install", "det")
    assert (again.code, again.out) == (0, "nothing to do\n")
    quiet = typist.type("install", "det", "-q")
    assert (quiet.code, quiet.err) == (0, "")
    assert typist.bench.files() == before


def test_a_torch_newer_than_the_verified_one_is_told_of_where_nothing_is_to_do_too(typist):
    typist.bench.public.add_torch("2.16.0+cpu")
    warning = "warning: torch 2.16.0+cpu is newer than 2.13.0, the newest that the index was verified with\n"
    first = typist.type("install", "det", "--torch", "2.16.0+cpu")
    assert (first.code, first.err.count(warning)) == (0, 1), first.err
    num_asked = len(typist.bench.public.asked)
    again = typist.type("install", "det")
    assert (again.code, again.out, again.err.count(warning)) == (0, "nothing to do\n", 1)
    assert len(typist.bench.public.asked) == num_asked


def test_a_terminal_is_asked_and_yes_skips_the_question(typist):
    before = typist.bench.files()
    code, shown = typist.type_on_a_terminal("install", "det", answer="n")
    assert (code, "go on? [Y/n]" in shown, "nothing was changed" in shown) == (1, True, True)
    assert typist.bench.files() == before
    code, shown = typist.type_on_a_terminal("install", "det", "--yes")
    assert (code, "[Y/n]" in shown) == (0, False)
    assert set(typist.bench.env.distributions) >= OURS


def test_the_nearest_toolbox_is_suggested(typist):
    said = typist.type("install", "dett")
    assert (said.code, said.out) == (1, "")
    assert "did you mean `det`?" in said.err


def test_no_fitting_build_is_3_with_the_facts_the_builds_and_a_command(typist):
    typist.bench.put_torch("2.9.1+cpu")
    said = typist.type("install", "det")
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("error[no-compatible-wheel]: ")
    assert "torch 2.9.1+cpu" in said.err
    assert "needs torch >= 2.10, found 2.9.1" in said.err
    assert "`mimctl install det --variant python`" in said.err
    explained = typist.type("install", "det", "--variant", "python", "--dry-run", "--explain")
    assert (explained.code, "chosen" in explained.out) == (0, True)


def test_offline_without_caches_is_4_and_names_what_is_missing(typist):
    said = typist.type("install", "det", "--offline")
    assert (said.code, said.out) == (4, "")
    assert typist.bench.site.url in said.err


def test_a_traceback_is_shown_only_where_it_is_asked_for(typist):
    assert "Traceback" not in typist.type("install", "dett").err
    assert "Traceback" in typist.type("install", "dett", "--debug").err


def test_a_wrong_hash_is_1_with_both_hashes(typist):
    entry = next(each for each in typist.bench.site.entries if each["project"] == "mimctl-det")
    right, entry["sha256"] = entry["sha256"], "0" * 64
    typist.bench.site.write()
    before = typist.bench.files()
    said = typist.type("install", "det")
    assert said.code == 1
    assert said.err.count("error[hash-mismatch]") == 1
    assert right in said.err
    assert "0" * 64 in said.err
    assert typist.bench.files() == before


def test_ctrl_c_is_130_and_leaves_the_environment_as_before(typist):
    typist.bench.public.add("pillow", "12.0", {"slow.py": ""})
    slow = next((typist.bench.public.folder / "simple" / "pillow").glob("pillow-12*"))
    slow.rename(slow.with_name("pillow-12.0-1slow-py3-none-any.whl"))
    _rewrite(typist, "pillow")
    before = typist.bench.files()
    run = subprocess.Popen(
        command("install", "det"),
        cwd=typist.folder,
        env=typist.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: any("slow" in path and path.endswith(".whl") for path in typist.bench.public.asked))
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=240)
    assert (run.returncode, out) == (130, "")
    assert err.endswith("interrupted\n")
    assert typist.bench.files() == before


def _rewrite(typist: Typist, name: str) -> None:
    place = typist.bench.public.folder / "simple" / name
    links = "".join(f'<a href="{each.name}">{each.name}</a>\n' for each in sorted(place.glob("*.whl")))
    (place / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


def test_verbose_says_where_settings_come_from(typist):
    said = typist.type("install", "det", "--dry-run", "-v")
    assert "debug: setting index from MIMCTL_INDEX_URL" in said.err


def test_what_the_index_holds_cannot_colour_or_move_the_terminal(typist):
    entry = next(each for each in typist.bench.site.entries if each["project"] == "mimctl-ops")
    entry["build"] = {**entry["build"], "min_torch": "99\x1b[31m"}
    typist.bench.site.write()
    said = typist.type("install", "det", "--dry-run")
    assert "\x1b" not in said.out + said.err


def test_a_library_of_a_functions_user_gets_the_same_data(typist):
    script = (
        "from mimctl import InstallOptions, install, list_package\n"
        "result = install('det', InstallOptions(torch='cpu'))\n"
        "print(sorted(each.name for each in result.changes))\n"
        "print([each.name for each in list_package().plugins])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=typist.folder, env=typist.environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == str(sorted(OURS))
