"""Each check is a function on facts: a table of environments and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_environment import make_env, make_file

import mimctl
from mimctl.checkup import checks, torch_checks
from mimctl.checkup.checkup import CHECKS
from mimctl.checkup.commands import installer_call
from mimctl.checkup.model import Check, Facts, Fix, OpsAnswer, Report
from mimctl.checkup.operators import operators
from mimctl.environment.installed import Fact, Ops
from mimctl.errors import MimctlError, NetworkError
from mimctl.index.model import Index
from mimctl.installer.transaction.change import Unfinished
from mimctl.plugin.discover import BrokenPlugin
from mimctl.transfer.owner import Owner

LINUX = ("0.1.0+cpu cpu x86", "0.1.0+cu13 cu13 x86", "0.1.0+cu12 cu12 x86", "0.1.0 python any")
BROKEN = BrokenPlugin(name="det", distribution="mimctl-det", version="0.1.0", reason="its package is not there")


def make_index(*texts: str, verified: str | None = "2.13.0") -> Index:
    return Index(
        addresses=("https://index.example",), files=tuple(make_file(text) for text in texts), torch_verified=verified
    )


def make_facts(env=None, **facts) -> Facts:
    facts = {"torch_index": "https://torch.example/whl", "mimctl_there": mimctl.__version__, **facts}
    return Facts(env=env or make_env(), **facts)


def make_ops(backend: str = "cpu", version: str = "0.1.0+cpu", **ops) -> Ops:
    there = {"min_torch": "2.6" if backend == "python" else "2.10", **ops}
    library = None if backend == "python" else Path("/venv/lib/mimctl_ops/_mimctl_ops.so")
    return Ops(version=version, path=Path("/venv/lib/mimctl_ops"), backend=backend, library=library, **there)


COMPILED = OpsAnswer(status={"tier": "compiled", "ops": ["nms", "roi_align"], "error": None, "hint": None})
PURE = OpsAnswer(status={"tier": "python", "ops": ["nms"], "error": None, "hint": None})
FAILED = OpsAnswer(
    status={"tier": "failed", "error": "the symbol `s` is missing from the installed torch", "hint": "install another"}
)


OWNER = Owner(host="node1", pid=7, started="1", since="2026-03-01 12:00:00 +0100")
KILLED = Unfinished(journal=Path("/venv/lib/.mimctl-transaction"), owner=OWNER, what="install det", is_alive=False)


def said(check: Check | None) -> tuple[str, str] | None:
    return (check.status, check.summary) if check else None


# name: (facts of the environment, status, summary)
DRIVERS = {
    "cpu torch, no driver": ({}, "ok", "torch is built for the CPU; no GPU driver"),
    "cuda torch and its driver": (
        {"torch": "2.13.0+cu130", "driver": "580.65"},
        "ok",
        "torch is built for CUDA 13.0; NVIDIA driver 580.65",
    ),
    "exactly the floor": ({"torch": "2.13.0+cu126", "driver": "525.60.13"}, "ok", None),
    "a driver below the floor of CUDA 13": (
        {"torch": "2.13.0+cu130", "driver": "550.54"},
        "fail",
        "NVIDIA driver 550.54 is too old for torch 2.13.0+cu130",
    ),
    "a driver below the floor of CUDA 12": ({"torch": "2.13.0+cu126", "driver": "470.10"}, "fail", None),
    "cuda torch, no driver": (
        {"torch": "2.13.0+cu130"},
        "warn",
        "torch 2.13.0+cu130 computes on a GPU, and no NVIDIA driver was found",
    ),
    "cpu torch beside a GPU": (
        {"driver": "580.65"},
        "warn",
        "torch 2.13.0+cpu computes on the CPU only, and this machine has a GPU",
    ),
    "cpu torch beside a GPU too old for any build": ({"driver": "390.1"}, "ok", None),
    "rocm torch and ROCm": ({"torch": "2.13.0+rocm6.4", "driver": "rocm"}, "ok", None),
    "rocm torch, nothing": (
        {"torch": "2.13.0+rocm6.4"},
        "warn",
        "torch 2.13.0+rocm6.4 computes on a GPU, and no ROCm was found",
    ),
    "rocm torch on NVIDIA": ({"torch": "2.13.0+rocm6.4", "driver": "580.65"}, "warn", None),
    "cpu torch beside AMD's GPU": (
        {"driver": "rocm"},
        "warn",
        "torch 2.13.0+cpu computes on the CPU only, and this machine has a GPU",
    ),
    "cpu torch beside Intel's GPU": ({"driver": "xpu"}, "warn", None),
    "cpu torch on a Mac": ({"platform": "mac", "torch": "2.13.0", "driver": "mps"}, "ok", None),
    "xpu torch and its GPU": ({"torch": "2.13.0+xpu", "driver": "xpu"}, "ok", "torch is built for XPU; xpu"),
    "xpu torch, nothing": (
        {"torch": "2.13.0+xpu"},
        "warn",
        "torch 2.13.0+xpu computes on a GPU, and no Intel GPU was found",
    ),
    "several GPUs": (
        {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("9.0", "9.0")},
        "ok",
        "torch is built for CUDA 13.0; NVIDIA driver 580.65, 2 GPUs",
    ),
}


@pytest.mark.parametrize("name", DRIVERS)
def test_torch_and_driver(name):
    env, status, summary = DRIVERS[name]
    check = torch_checks.accelerator(make_facts(make_env(**env)))
    assert check.status == status
    assert summary in (None, check.summary)


def test_without_torch_nothing_is_compared_with_it():
    facts = make_facts(make_env(torch=None), index=make_index(*LINUX))
    assert torch_checks.accelerator(facts) is None
    assert torch_checks.torch_verified(facts) is None


def test_the_command_for_another_torch_can_be_typed():
    check = torch_checks.accelerator(make_facts(make_env(torch="2.12.0+cpu", driver="560.1")))
    assert check.hints[0].endswith(
        "`/venv/bin/python -m pip install --force-reinstall --index-url https://torch.example/whl/cu126"
        " torch==2.12.0+cu126`"
    )
    check = torch_checks.accelerator(make_facts(make_env(torch="2.12.0+cu130", driver="560.1")))
    assert check.hints[0] == "update the driver"
    assert "torch==2.12.0+cu126" in check.hints[1]


@pytest.mark.parametrize(
    ("env", "status", "code"),
    [
        ({}, "ok", None),
        ({"distributions": ("torch==2.13.0+cpu",)}, "ok", None),
        ({"distributions": ("torch==2.13.0",)}, "ok", None),  # conda's metadata has no label
        ({"distributions": ("torch==2.12.0+cpu",)}, "fail", "torch-unreadable"),
        ({"distributions": ("torch==2.13.0+cu130",)}, "fail", "torch-unreadable"),
        ({"torch": None, "distributions": ("torch==2.13.0",)}, "fail", "torch-unreadable"),
        ({"torch": None}, "warn", "torch-missing"),
        ({"torch": None, "distributions": ("mimctl==0.1.0",)}, "warn", "torch-missing"),
        ({"torch": None, "distributions": ("mimctl-det==0.1.0",)}, "fail", "torch-missing"),
    ],
)
def test_torch(env, status, code):
    check = torch_checks.torch_there(make_facts(make_env(**env)))
    assert (check.status, check.code) == (status, code)


@pytest.mark.parametrize(
    ("torch", "verified", "status"),
    [
        ("2.13.0+cpu", "2.13.0", "ok"),
        ("2.16.0+cpu", "2.13.0", "warn"),
        ("2.16.0a0+git1", "2.15.0", "warn"),
        ("2.16.0", None, None),
    ],
)
def test_a_torch_newer_than_the_verified_one(torch, verified, status):
    check = torch_checks.torch_verified(make_facts(make_env(torch=torch), index=make_index(verified=verified)))
    assert (check.status if check else None) == status
    if status == "warn":
        assert check.summary == f"torch {torch} is newer than {verified}, the newest that the index was verified with"


def test_without_an_index_nothing_is_newer():
    assert torch_checks.torch_verified(make_facts(make_env(torch="9.0"))) is None


@pytest.mark.parametrize(
    ("there", "plugins", "status", "code"),
    [
        (mimctl.__version__, (), "ok", None),
        ("9.9", (), "warn", "spec-version"),
        (None, (), "warn", "engine-missing"),
        (None, (BROKEN,), "fail", "engine-missing"),
    ],
)
def test_the_target_has_the_same_mimctl(there, plugins, status, code):
    check = checks.own_version(make_facts(mimctl_there=there, plugins=plugins))
    assert (check.status, check.code) == (status, code)


GPU = {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("9.0",)}
CU13 = make_ops("cu13", "0.1.0+cu13", toolkit="13.0", min_driver="580", archs=("9.0",))
# name: (environment, ops, what they say, status, words of the summary, words of the hints)
OPS = {
    "compiled": ({}, make_ops(), COMPILED, "ok", "compiled, mimctl-ops 0.1.0+cpu, 2 operators", ""),
    "its CUDA version is told": (GPU, CU13, COMPILED, "ok", "mimctl-ops 0.1.0+cu13, CUDA 13.0, 2 operators", ""),
    "a cuda build on cpu torch": ({}, CU13, COMPILED, "ok", "its CPU half as torch is a CPU build", ""),
    "pure PyTorch where compiled fits": (
        {},
        make_ops("python", "0.1.0"),
        PURE,
        "warn",
        "slower than it could be",
        "0.1.0+cpu fits: `mimctl install mimctl-ops`",
    ),
    "pure PyTorch where nothing else is": (
        {"platform": "mac", "torch": "2.13.0"},
        make_ops("python", "0.1.0"),
        PURE,
        "ok",
        "pure PyTorch, mimctl-ops 0.1.0, python build",
        "",
    ),
    "by request": ({}, make_ops(asked="python"), PURE, "ok", "pure PyTorch, as MIMCTL_OPS asks", ""),
    "by a wrong word": (
        {},
        make_ops(asked="quick"),
        OpsAnswer(status={"tier": "failed", "error": "MIMCTL_OPS is `quick`", "hint": ""}),
        "fail",
        "cannot be loaded",
        "unset MIMCTL_OPS",
    ),
    "a missing symbol, another build fits": (
        {},
        CU13,
        FAILED,
        "fail",
        "mimctl-ops 0.1.0+cu13, CUDA 13.0 cannot be loaded",
        "0.1.0+cpu fits: `mimctl install mimctl-ops`",
    ),
    "a missing symbol in the right build": (
        {},
        make_ops(),
        FAILED,
        "fail",
        "mimctl-ops 0.1.0+cpu cannot be loaded",
        "install it anew: `/venv/bin/python -m pip install --force-reinstall --no-deps https://index.example/files/",
    ),
    "torch too old": (
        {"torch": "2.9.1+cpu"},
        make_ops(),
        OpsAnswer(status={"tier": "failed", "error": "torch 2.9.1+cpu is older than 2.10", "hint": ""}),
        "fail",
        "cannot be loaded",
        "use the pure-PyTorch ops: `mimctl install mimctl-ops --variant python`",
    ),
    "the library is gone": ({}, make_ops(), PURE, "fail", "cannot be loaded", "install it anew"),
    "the process died": ({}, make_ops(), OpsAnswer(problem="SIGSEGV"), "fail", "cannot be loaded", "install it anew"),
    "a cpu build on a machine with a GPU": (
        GPU,
        make_ops(),
        COMPILED,
        "warn",
        "mimctl-ops 0.1.0+cpu does not suit this environment",
        "0.1.0+cu13 fits: `mimctl install mimctl-ops`",
    ),
    "cuda 12 beside cuda 13": (
        GPU,
        make_ops("cu12", "0.1.0+cu12", toolkit="12.6"),
        COMPILED,
        "warn",
        "does not suit",
        "0.1.0+cu13 fits",
    ),
    "no code for the GPU": (
        {**GPU, "gpus": ("10.0",)},
        CU13,
        COMPILED,
        "warn",
        "does not suit",
        "0.1.0+cu12 fits: `mimctl install mimctl-ops`",
    ),
    "an unknown tier": ({}, make_ops(), OpsAnswer(status={"tier": "x"}), "fail", "cannot be loaded", "anew"),
}


@pytest.mark.parametrize("name", OPS)
def test_operators(name):
    env, ops, answer, status, summary, hints = OPS[name]
    check = operators(make_facts(make_env(**env, ops=ops), ops=answer, index=make_index(*LINUX)))
    assert check.status == status
    assert summary in check.summary
    assert hints in "\n".join(check.hints)
    assert (check.code is None) == (status == "ok")


def test_the_cause_of_a_failed_library_comes_first():
    check = operators(make_facts(make_env(ops=make_ops()), ops=FAILED))
    assert check.causes[0] == "the symbol `s` is missing from the installed torch"
    assert check.hints == ("install another",)


def test_a_version_that_the_index_lacks_is_upgraded():
    facts = make_facts(make_env(ops=make_ops(version="0.0.9+cpu")), ops=FAILED, index=make_index(*LINUX))
    assert operators(facts).hints[0] == "the index has other versions only: `mimctl install mimctl-ops --upgrade`"


def test_absent_operators():
    assert operators(make_facts()) is None
    missing = operators(make_facts(plugins=(BROKEN,), index=make_index(*LINUX)))
    assert (missing.status, missing.hints) == ("warn", ("0.1.0+cpu fits: `mimctl install mimctl-ops`",))
    gone = operators(make_facts(make_env(distributions=("mimctl-ops==0.1.0",)), index=make_index(*LINUX)))
    assert (gone.status, gone.code) == ("fail", "ops-cannot-load")
    assert "--force-reinstall" in gone.hints[0]


@pytest.mark.parametrize(
    ("distributions", "cv2", "plugins", "status"),
    [
        ((), False, (), None),
        ((), True, (), "ok"),
        (("opencv-python==4.10",), True, (), "ok"),
        (("opencv-python==4.10", "opencv-python-headless==4.10"), True, (), "warn"),
        (("opencv-python==4.10", "opencv-contrib-python==4.10"), False, (), "warn"),
        (("opencv-python==4.10",), False, (), "fail"),
        ((), False, (BROKEN,), "fail"),
    ],
)
def test_opencv(distributions, cv2, plugins, status):
    check = checks.opencv(make_facts(make_env(distributions=distributions, cv2=cv2), plugins=plugins))
    assert (check.status if check else None) == status


def test_two_opencvs_are_named_with_the_commands():
    there = ("opencv-python==4.10", "opencv-python-headless==4.10")
    check = checks.opencv(make_facts(make_env(distributions=there, cv2=True)))
    assert check.hints == (
        "keep opencv-python-headless: `mimctl doctor --fix`",
        "or yourself: `/venv/bin/python -m pip uninstall opencv-python opencv-python-headless`, then"
        " `/venv/bin/python -m pip install --force-reinstall --no-deps opencv-python-headless`",
    )
    assert check.fix == Fix(remove=("opencv-python",), reinstall=("opencv-python-headless",))


def test_the_opencv_that_something_requires_is_kept():
    there = ("opencv-python==4.10", "opencv-python-headless==4.10")
    env = make_env(distributions=there, cv2=True)
    check = checks.opencv(make_facts(env, needs_opencv=("opencv-python",)))
    assert check.fix == Fix(remove=("opencv-python-headless",), reinstall=("opencv-python",))
    check = checks.opencv(make_facts(env, needs_opencv=("opencv-python", "opencv-python-headless")))
    assert check.fix is None
    assert check.hints[0].startswith("opencv-python and opencv-python-headless are each required by something")


def test_toolboxes_of_another_version_than_the_engine():
    assert checks.versions(make_facts(make_env(distributions=("mimctl==0.1.0", "mimctl-ops==0.1.0+cpu")))) is None
    assert checks.versions(make_facts(make_env(distributions=("mimctl-det==0.1.0",)))) is None
    check = checks.versions(make_facts(make_env(distributions=("mimctl==0.1.0", "mimctl-det==0.2.0"))))
    assert said(check) == ("fail", "1 distribution is not of the engine's version")
    assert check.causes == ("the engine is mimctl 0.1.0", "mimctl-det is 0.2.0")
    assert (check.hints, check.fix) == (("bring all to one: `mimctl upgrade --all`",), Fix(upgrades=True))


def test_a_torch_replaced_behind_our_back():
    assert torch_checks.torch_replaced(make_facts()) is None
    env = make_env(distributions=("mimctl-ops==0.1.0",))
    check = torch_checks.torch_replaced(make_facts(env, torch_since="torch is 2.14.0 now, it was 2.13.0 when …"))
    assert said(check) == ("warn", "torch was replaced since mimctl's last installation")
    assert check.fix == Fix(install=("mimctl-ops",))


def test_operators_for_another_machine_are_replaced():
    env = make_env(ops=make_ops())
    facts = make_facts(env, ops=FAILED, index=make_index(*LINUX), other_platform="its wheel is for aarch64")
    check = operators(facts)
    assert (check.status, check.code, check.causes[0]) == ("fail", "ops-cannot-load", "its wheel is for aarch64")
    assert check.fix == Fix(reinstall=("mimctl-ops",))


def test_without_pip_the_commands_are_uvs():
    env = replace(make_env(), pip=Fact(value=None, source="a test"), uv=Fact(value="0.5", source="a test"))
    assert installer_call(env, "install") == "uv pip install --python /venv/bin/python"


def test_toolboxes_and_requirements():
    assert checks.toolboxes(make_facts()) is None
    broken = checks.toolboxes(make_facts(plugins=(BROKEN,)))
    assert said(broken) == ("fail", "1 toolbox cannot be used")
    assert broken.causes == ("det: its package is not there",)
    env = make_env(distributions=("mimctl-det==0.1.0",))
    assert checks.requirements(make_facts()) is None
    assert said(checks.requirements(make_facts(env))) == ("ok", "all requirements of mimctl-det are met")
    unmet = checks.requirements(make_facts(env, unmet=("numpy>=1.24 (for mimctl[engine]): not installed",)))
    assert said(unmet) == ("fail", "1 requirement is not met")


def test_a_killed_install_is_told_unless_one_is_going_on():
    assert checks.killed_install(make_facts()) is None
    assert checks.killed_install(make_facts(unfinished=replace(KILLED, is_alive=True))) is None
    check = checks.killed_install(make_facts(unfinished=KILLED))
    assert (check.status, check.hints[0].split(": ")[1]) == ("fail", "`mimctl doctor --fix --python /venv/bin/python`")
    assert check.causes[0] == "`install det` by process 7 on node1, since 2026-03-01 12:00:00 +0100"
    unreadable = MimctlError("cannot be read", code="killed-install", causes=["why"], hints=["what"])
    assert said(checks.killed_install(make_facts(unfinished=unreadable))) == ("fail", "cannot be read")


def test_an_index_that_cannot_be_read_is_a_warning_of_its_own():
    assert checks.index(make_facts(index=make_index(*LINUX))).summary == "4 wheels, https://index.example"
    problem = NetworkError("the host does not answer", causes=["timed out"])
    check = checks.index(make_facts(index_problem=problem))
    assert (check.status, check.code) == ("warn", "network")
    assert check.causes == ("timed out", "what is compared with an index is left out")
    check = checks.index(make_facts(index=make_index(), index_problem=problem))
    assert check.causes[-1] == "what was last seen of it is used"


def test_a_secret_in_the_address_of_an_index_is_not_told():
    index = replace(make_index(), addresses=("https://me:canary@index.example",))
    assert "canary" not in checks.index(make_facts(index=index)).summary
    facts = make_facts(make_env(driver="580.65"), torch_index="https://me:canary@torch.example/whl")
    assert "canary" not in str(torch_checks.accelerator(facts))


def test_warnings_alone_are_no_failure():
    warns, fails = (Check(name="x", status=status, summary="") for status in ("warn", "fail"))
    assert Report(target=None, checks=(warns,)).ok
    assert not Report(target=None, checks=(warns, fails)).ok


def test_every_finding_has_a_page():
    from mimctl.pages import error_pages

    env = make_env(torch="2.13.0+cu130", driver="470.1", ops=make_ops(), distributions=("mimctl-det==0.1.0",))
    facts = make_facts(
        env,
        mimctl_there=None,
        plugins=(BROKEN,),
        unmet=("x",),
        ops=FAILED,
        hidden=(("torch", Path("/a/torch"), Path("/b/torch")),),
        unfinished=KILLED,
        index_problem=MimctlError("no", code="bad-index"),
    )
    told = [check for each in CHECKS if (check := each(facts)) is not None and check.status != "ok"]
    assert len(told) >= 9
    assert {check.code for check in told} <= set(error_pages())
    assert all(check.causes and check.hints for check in told if check.name != "index")
