"""That nothing is to do is decided from what is installed alone: no index is read for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_environment import make_env

from mimctl.environment.distributions import scan
from mimctl.environment.installed import Fact, Ops
from mimctl.environment.ops import judge_tier
from mimctl.installer.model import InstallOptions
from mimctl.installer.record import note_installation
from mimctl.installer.satisfied import find_satisfied, plan_nothing

DET = (
    "mimctl[engine]==0.1.0",
    "mimctl-ops==0.1.0",
    "eval-kit>=1 ; python_version >= '3.8'",
    "docs-kit ; extra == 'docs'",
)


@pytest.fixture
def env(tmp_path):
    """Make an environment whose distributions lie in a folder; `without` leaves one out."""

    def make(*, torch="2.13.0+cpu", ops="cpu", cv2=True, without=(), **versions):
        requires = {
            "mimctl": ("torch>=2.6 ; extra == 'engine'", "numpy>=1.24 ; extra == 'engine'", "click"),
            "mimctl-det": DET,
            "mimctl-ops": ("torch>=2.10",),
            "eval-kit": ("numpy",),
            "mmdet": ("numpy",),
            **dict.fromkeys(("numpy", "click"), ()),
        }
        known = {"mimctl": "0.1.0", "mimctl-det": "0.1.0", "mimctl-ops": "0.1.0", "mmdet": "3.3.0"}
        site = tmp_path / "lib" / "site-packages"
        for name, lines in requires.items():
            version = versions.get(name.replace("-", "_"), known.get(name, "2.0"))
            if name not in without:
                folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
                folder.mkdir(parents=True)
                text = "".join(f"Requires-Dist: {line}\n" for line in lines)
                (folder / "METADATA").write_text(
                    f"Metadata-Version: 2.1\nName: {name}\n{text}\nAn extra; not a field\n"
                )
        if torch is not None:
            (site / f"torch-{torch}.dist-info").mkdir()
        library = site / "mimctl_ops" / "_mimctl_ops.so"
        built = Ops(version="0.1.0", path=library.parent, backend=ops, min_torch="2.10", library=library)
        made = make_env(torch=torch, cv2=cv2, ops=built)
        made = replace(made, ops_tier=judge_tier(built, made.torch.value))
        paths = replace(made.paths, purelib=site, platlib=site, search=(site,))
        return replace(made, distributions=scan([site]), paths=paths)

    return make


def found(env, *names, **options):
    return find_satisfied(names, env=env, options=InstallOptions(**options))


@pytest.mark.parametrize("word", ["det", "DET", "mmdet", "mimctl-det", "mimctl_det", "det==0.1.0", "mimctl-det>=0.1"])
def test_what_is_there_and_complete_needs_no_index(env, word):
    assert found(env(), word) == ("mimctl-det",)


def test_several_things_and_extras(env):
    assert found(env(), "det", "mimctl[engine]", "mmdet==3.3.0") == ("mimctl-det", "mimctl[engine]", "mmdet")


@pytest.mark.parametrize(
    "word", ["seg", "det==0.2.0", "det[docs]", "numpy", "./det", "det @ https://x.example/det.whl"]
)
def test_what_cannot_be_told_or_is_not_there_takes_a_plan(env, word):
    assert found(env(), word) is None


@pytest.mark.parametrize("missing", ["numpy", "click", "eval-kit", "mimctl-ops", "mimctl"])
def test_something_missing_further_down_takes_a_plan(env, missing):
    assert found(env(without=(missing,)), "det") is None


def test_something_too_old_further_down_takes_a_plan(env):
    assert found(env(numpy="1.20"), "det") is None


@pytest.mark.parametrize(
    "facts", [{"torch": "2.9.0+cpu"}, {"cv2": False}, {"ops": "python"}, {"ops": None}], ids=lambda facts: str(facts)
)
def test_what_does_not_suit_or_may_be_bettered_takes_a_plan(env, facts):
    assert found(env(**facts), "det") is None


def test_operators_for_another_backend_take_a_plan(env):
    made = env(torch="2.13.0+cu130")
    gpu = make_env(driver="580.65").accelerator
    assert found(replace(made, accelerator=Fact(value=gpu.value, source="a test")), "det") is None


@pytest.mark.parametrize(
    ("options", "is_satisfied"),
    [
        ({"upgrade": True}, False),
        ({"upgrade_all": True}, False),
        ({"reinstall": True}, False),
        ({"variant": "cpu"}, True),
        ({"variant": "python"}, False),
        ({"torch": "cpu"}, True),
        ({"torch": "none"}, True),
        ({"torch": "cu130"}, False),
        ({"torch": "2.13.0"}, True),
    ],
)
def test_options_that_ask_for_more(env, options, is_satisfied):
    assert (found(env(), "det", **options) is not None) == is_satisfied


def test_files_and_killed_installations_take_the_long_way(env):
    made = env()
    assert plan_nothing(["det"], env=made, options=InstallOptions()).nothing_to_do
    assert plan_nothing(["det"], env=made, options=InstallOptions(requirement_files=("more.txt",))) is None
    (made.paths.purelib.parent / ".mimctl-transaction").mkdir()
    assert plan_nothing(["det"], env=made, options=InstallOptions()) is None


def test_a_torch_newer_than_every_verified_one_is_told_of_as_an_installation_does(env):
    made = env()
    (made.paths.purelib / "torch").mkdir()
    (made.paths.purelib / "torch" / "version.py").write_text("__version__ = '2.13.0+cpu'\ncuda = None\nhip = None\n")
    note_installation(made, verified="2.13.0")
    assert plan_nothing(["det"], env=made, options=InstallOptions()).warnings == ()
    torch = next(made.paths.purelib.glob("torch-*"))
    torch.rename(torch.with_name("torch-2.16.0+cpu.dist-info"))
    newer = replace(made, torch=make_env(torch="2.16.0+cpu").torch, distributions=scan([made.paths.purelib]))
    for _ in range(2):
        warnings = plan_nothing(["det", "ops"], env=newer, options=InstallOptions()).warnings
        assert warnings == ("torch 2.16.0+cpu is newer than 2.13.0, the newest that the index was verified with",)
        note_installation(newer)  # a change without an index forgets nothing
    assert plan_nothing(["mimctl"], env=newer, options=InstallOptions()).warnings == ()


def test_a_second_install_asks_no_server_anything(uv_bench):
    uv_bench.install("det")
    uv_bench.public.asked.clear()
    plan = uv_bench.plan("det")
    assert plan.nothing_to_do
    assert uv_bench.public.asked == []
    assert plan.requested == ("mimctl-det",)
