"""On small indexes of every kind we choose what pip chooses (with `best`) and what uv chooses (with `first`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from package_web import Web
from packaging.requirements import Requirement
from resolution.made_catalog import MadeInstalled
from tiny_wheels import write_wheel

from mimctl.environment.detect import detect
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.client import IndexClient
from mimctl.index.sources import read_sources, transfer_settings
from mimctl.resolution.catalog import IndexCatalog
from mimctl.resolution.model import Wanted
from mimctl.resolution.resolve import resolve
from mimctl.transfer import TransferSettings

PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"


@dataclass(frozen=True)
class On:
    """A wheel on a place: `extra`, `main` or `links`, and what its page says of it."""

    place: str
    version: str
    tag: str = "py3-none-any"
    python: str | None = None
    yanked: bool = False


class Shop:
    """Two indexes on the loopback and a folder of links, filled anew for each question."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extra, self.main = Web(), Web()
        self.num = 0

    def fill(self, projects: Mapping[str, Sequence[On]]) -> dict[str, str]:
        """Lay out wheels by project; return pip's configuration for them."""
        self.num += 1
        links = self.folder / f"links{self.num}"
        links.mkdir(parents=True)
        for web in (self.extra, self.main):
            web.pages.clear()
        for project, each in ((project, each) for project, wheels in projects.items() for each in wheels):
            place = links if each.place == "links" else self.folder / f"{each.place}{self.num}"
            header = f"Requires-Python: {each.python}\n" if each.python else ""
            path = write_wheel(place, f"{project}-{each.version}-{each.tag}.whl", metadata=header)
            says = f' data-requires-python="{each.python.replace(">", "&gt;")}"' if each.python else ""
            says += ' data-yanked="broken"' if each.yanked else ""
            if each.place != "links":
                {"extra": self.extra, "main": self.main}[each.place].add(path, extra=says)
        return {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{self.main.address}/simple",
            "PIP_EXTRA_INDEX_URL": f"{self.extra.address}/simple",
            "PIP_FIND_LINKS": str(links),
        }

    def close(self) -> None:
        self.extra.close()
        self.main.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("shop"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def env() -> Environment:
    return detect(python=Path(sys.executable), environ=os.environ)


def by_pip(requirements: Sequence[str], config: dict[str, str]) -> dict[str, str]:
    """Return the files that pip would install by project; none where it finds none for one of them."""
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    argv += ["--report=-", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", *requirements]
    done = subprocess.run(argv, env={**_calm(), **config}, capture_output=True, text=True, check=False)
    if done.returncode:
        assert "No matching distribution" in done.stderr or "a different Python" in done.stderr, done.stderr
        return {}
    urls = [each["download_info"]["url"] for each in json.loads(done.stdout)["install"]]
    names = [unquote(url.rpartition("/")[2]) for url in urls]
    return {name.partition("-")[0]: name for name in names}


def by_uv(requirements: Sequence[str], config: dict[str, str]) -> dict[str, str]:
    """Return the versions that uv would install by project; none where it finds none for one of them."""
    argv = [
        str(Path(sys.executable).with_name("uv")),
        "pip",
        "compile",
        "--python",
        sys.executable,
        "--only-binary",
        ":all:",
        "--no-deps",
        "--no-cache",
    ]
    argv += ["--default-index", config["PIP_INDEX_URL"], "--index", config["PIP_EXTRA_INDEX_URL"], "--quiet"]
    argv += ["--find-links", config["PIP_FIND_LINKS"], "--no-header", "--no-annotate", "-"]
    text = "\n".join(requirements)
    done = subprocess.run(argv, env=_calm(), input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        assert "unsatisfiable" in done.stderr, done.stderr
        return {}
    return dict(line.split("==") for line in done.stdout.splitlines())


def ours(requirement: str, config: dict[str, str], env: Environment, cache: Path, strategy: str) -> str | None:
    """Return the file that we would install."""
    sources = read_sources(config)
    transfer = transfer_settings(TransferSettings(retries=0, timeout_s=60), sources, keeps_timeout=True)
    catalog = IndexCatalog(
        client=IndexClient((), transfer, cache), sources=sources, transfer=transfer, cache_dir=cache, strategy=strategy
    )
    wanted = [Wanted(requirement=Requirement(requirement))]
    try:
        found = resolve(wanted, env=env, catalog=catalog, installed=MadeInstalled())
    except MimctlError as err:
        assert err.exit_code in (1, 3), err
        return None
    file = found.picks[wanted[0].requirement.name].file
    assert file is not None
    return file.filename


def _calm() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))} | {
        "UV_NO_CONFIG": "1"
    }


CASES = {
    "newest": ([On("main", "1.0"), On("main", "1.10"), On("main", "1.9")], "demo"),
    "no pre-release": ([On("main", "1.0"), On("main", "2.0rc1")], "demo"),
    "nothing but pre-releases": ([On("main", "1.0a1"), On("main", "1.0b2")], "demo"),
    "a pre-release that is asked for": ([On("main", "1.0"), On("main", "2.0rc1")], "demo>=2.0rc1"),
    "withdrawn": ([On("main", "1.0"), On("main", "2.0", yanked=True)], "demo"),
    "withdrawn and pinned": ([On("main", "1.0"), On("main", "2.0", yanked=True)], "demo==2.0"),
    "nothing but withdrawn": ([On("main", "2.0", yanked=True)], "demo>=1"),
    "another Python": ([On("main", "1.0", python=">=3.8"), On("main", "2.0", python=">=4")], "demo"),
    "another tag": ([On("main", "1.0"), On("main", "2.0", tag="cp27-cp27mu-manylinux1_x86_64")], "demo"),
    "the closer tag": ([On("main", "1.0"), On("main", "1.0", tag=f"{PYTHON}-none-any")], "demo"),
    "nothing that fits": ([On("main", "2.0", tag="py2-none-any")], "demo"),
    "a newer one in the extra index": ([On("main", "1.0"), On("extra", "2.0")], "demo"),
    "an older one in the extra index": ([On("main", "2.0"), On("extra", "1.0")], "demo"),
    "a newer one in the links": ([On("main", "1.0"), On("links", "2.0")], "demo"),
    "an older one in the links": ([On("main", "2.0"), On("links", "1.0")], "demo"),
    "only in the links": ([On("links", "1.0"), On("links", "2.0", tag="py2-none-any")], "demo"),
    "labels": ([On("main", "1.0"), On("main", "1.0+local.2"), On("main", "1.0+local.10")], "demo"),
    "a post-release": ([On("main", "1.0"), On("main", "1.0.post1"), On("main", "1.1.dev1")], "demo"),
    "an epoch": ([On("main", "1!0.1"), On("main", "2.0")], "demo"),
    "exactly": ([On("main", "1.0"), On("main", "1.0.1"), On("main", "1.1")], "demo~=1.0.0"),
}


REFUSED = ("nothing but withdrawn", "nothing that fits")


def as_projects(names: Sequence[str]) -> tuple[dict[str, list[On]], dict[str, str]]:
    """Return cases as projects of one index: what it holds, what is wanted of each."""
    projects = {f"demo{place}": name for place, name in enumerate(names)}
    wanted = {project: CASES[name][1].replace("demo", project) for project, name in projects.items()}
    return {project: CASES[name][0] for project, name in projects.items()}, wanted


def test_a_choice_is_that_of_pip_and_of_uv(shop, env, tmp_path):
    held, wanted = as_projects([name for name in CASES if name not in REFUSED])
    config = shop.fill(held)
    best = {project: ours(text, config, env, tmp_path, "best") for project, text in wanted.items()}
    first = {project: ours(text, config, env, tmp_path, "first") for project, text in wanted.items()}
    assert best == by_pip([*wanted.values()], config)
    assert {project: name.split("-")[1] for project, name in first.items()} == by_uv([*wanted.values()], config)


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_chosen_where_pip_and_uv_find_nothing(shop, env, tmp_path, name):
    held, wanted = as_projects([name])
    config = shop.fill(held)
    assert by_pip([*wanted.values()], config) == by_uv([*wanted.values()], config) == {}
    assert ours(wanted["demo0"], config, env, tmp_path, "best") is None


@pytest.mark.parametrize("place", ["extra", "links"])
def test_a_file_that_another_place_offers_to_more_pythons_is_taken_from_there(shop, env, tmp_path, place):
    config = shop.fill({"demo": [On(place, "1.0", python=">=4"), On("main", "1.0")]})
    found = ours("demo", config, env, tmp_path, "best")
    assert found == by_pip(["demo"], config)["demo"] == "demo-1.0-py3-none-any.whl"


wheels = st.builds(
    On,
    place=st.sampled_from(["extra", "main", "main", "links"]),
    version=st.sampled_from(["1.0", "1.1", "2.0", "2.0rc1", "2.0.post1", "2.0+a", "1.2.dev3"]),
    tag=st.sampled_from(["py3-none-any", "py2.py3-none-any", "py2-none-any", f"{PYTHON}-{PYTHON}-linux_x86_64"]),
    python=st.sampled_from([None, ">=3.8", ">=4"]),
    yanked=st.booleans(),
).map(lambda each: replace(each, python=None) if each.place == "links" else each)
"""A folder does not tell which Pythons its wheels are for: pip finds out too late to take another file."""


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    wheels=st.lists(wheels, min_size=1, max_size=6, unique_by=lambda each: (each.place, each.version, each.tag)),
    requirement=st.sampled_from(["demo", "demo>=1.1", "demo==2.0", "demo<2", "demo>=2.0rc1", "demo!=2.0"]),
)
def test_on_any_index_a_choice_is_that_of_pip(shop, env, tmp_path_factory, wheels, requirement):
    config = shop.fill({"demo": wheels})
    found = ours(requirement, config, env, tmp_path_factory.mktemp("cache"), "best")
    theirs = by_pip([requirement], config).get("demo")
    # Which of two wheels that are as good is taken, the order of a page decides.
    assert (found or "").replace("py2.py3", "py3") == (theirs or "").replace("py2.py3", "py3")


def test_what_uv_is_configured_with_serves_us_as_it_serves_uv(shop, env, tmp_path):
    """Of one `uv.toml` and a few variables uv and we take the same, each with nothing else configured."""
    held = {
        "one": [On("main", "1.0"), On("extra", "0.9")],
        "two": [On("main", "1.0")],
        "three": [On("links", "3.0"), On("main", "1.0")],
    }
    places = shop.fill(held)
    home = tmp_path / "home"
    links = os.path.relpath(places["PIP_FIND_LINKS"], home / ".config/uv")
    (home / ".config/uv").mkdir(parents=True)
    (home / ".config/uv/uv.toml").write_text(
        f'find-links = ["{links}"]\n[[index]]\nurl = "http://127.0.0.1:9/simple"\nname = "x"\nexplicit = true\n'
        f'[[index]]\nname = "main"\nurl = "{places["PIP_INDEX_URL"]}"\ndefault = true\n'
    )
    variables = {"HOME": str(home), "PATH": os.environ["PATH"], "UV_INDEX": f"mine={places['PIP_EXTRA_INDEX_URL']}"}
    found = {name: ours(name, {**variables, "PIP_CONFIG_FILE": os.devnull}, env, tmp_path, "first") for name in held}
    argv = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--python", sys.executable, "--no-cache", "-q"]
    argv += ["--no-deps", "--no-header", "--no-annotate", "-"]
    said = subprocess.run(
        argv, env=variables, input="\n".join(held), cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert dict(line.split("==") for line in said.splitlines()) == {"one": "0.9", "two": "1.0", "three": "3.0"}
    assert {name: file and file.split("-")[1] for name, file in found.items()} == {
        "one": "0.9",
        "two": "1.0",
        "three": "3.0",
    }
