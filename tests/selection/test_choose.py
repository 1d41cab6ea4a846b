"""A table of environments and candidates: what is chosen, and why each other one is not."""

from __future__ import annotations

import pytest

from mimctl.errors import render
from mimctl.selection.choose import Accepted, choose
from mimctl.selection.refusal import refusal

LINUX = ("0.1.0 cpu x86", "0.1.0 python any")
CUDA = ("0.1.0 cpu x86", "0.1.0 cu12 x86", "0.1.0 cu13 x86", "0.1.0 python any")
ONLY_CUDA = ("0.1.0 cu13 x86", "0.1.0 python any")
COMPILED_EXISTS = "compiled builds exist for this platform; ask for this one with `--variant python`"

# name: (environment, candidates, variant, chosen, {candidate: reason})
TABLE = {
    "cpu torch takes the cpu build": ({}, LINUX, None, "0.1.0 cpu x86", {"0.1.0 python any": COMPILED_EXISTS}),
    "python variant by request": (
        {},
        LINUX,
        "python",
        "0.1.0 python any",
        {"0.1.0 cpu x86": "`--variant python` was asked for"},
    ),
    "greatest version wins": ({}, ("0.1.0 cpu x86", "0.2.0 cpu x86"), None, "0.2.0 cpu x86", {}),
    "versions are numbers": ({}, ("0.9.0 cpu x86", "0.10.0 cpu x86"), None, "0.10.0 cpu x86", {}),
    "pre-release only where nothing else is": ({}, ("0.1.0 cpu x86", "0.2.0rc1 cpu x86"), None, "0.1.0 cpu x86", {}),
    "the best tag of one version wins": ({}, ("0.1.0 cpu x86-old", "0.1.0 cpu x86"), None, "0.1.0 cpu x86", {}),
    "yanked is never taken": (
        {},
        ("0.1.0 cpu x86", "0.2.0 cpu x86 yanked"),
        None,
        "0.1.0 cpu x86",
        {"0.2.0 cpu x86": "yanked: broken"},
    ),
    "a yanked compiled build does not count as one": (
        {},
        ("0.1.0 cpu x86 yanked", "0.1.0 python any"),
        None,
        "0.1.0 python any",
        {"0.1.0 cpu x86": "yanked: broken"},
    ),
    "old glibc is refused, not patched over": (
        {"platform": "linux-old"},
        LINUX,
        None,
        None,
        {"0.1.0 cpu x86": "needs glibc >= 2.34, found 2.28", "0.1.0 python any": COMPILED_EXISTS},
    ),
    "old glibc takes the older wheel": (
        {"platform": "linux-old"},
        (*LINUX, "0.0.9 cpu x86-old"),
        None,
        "0.0.9 cpu x86-old",
        {"0.1.0 cpu x86": "needs glibc >= 2.34, found 2.28"},
    ),
    "arm without a compiled build gets pure Python by itself": (
        {"platform": "linux-arm"},
        LINUX,
        None,
        "0.1.0 python any",
        {"0.1.0 cpu x86": "built for linux x86_64 (glibc), this is linux aarch64 (glibc)"},
    ),
    "arm takes its own": ({"platform": "linux-arm"}, (*LINUX, "0.1.0 cpu arm"), None, "0.1.0 cpu arm", {}),
    "musl has no compiled build": (
        {"platform": "alpine"},
        LINUX,
        None,
        "0.1.0 python any",
        {"0.1.0 cpu x86": "built for linux x86_64 (glibc), this is linux x86_64 (musl)"},
    ),
    "mac takes its own": ({"platform": "mac", "torch": "2.13.0"}, (*LINUX, "0.1.0 cpu mac"), None, "0.1.0 cpu mac", {}),
    "mac without one": ({"platform": "mac", "torch": "2.13.0"}, LINUX, None, "0.1.0 python any", {}),
    "windows takes its own": ({"platform": "windows"}, (*LINUX, "0.1.0 cpu win"), None, "0.1.0 cpu win", {}),
    "another Python's wheel": (
        {},
        ("0.1.0 cpu cp312", "0.1.0 python any"),
        None,
        None,
        {"0.1.0 cpu cp312": "built for cp312-cp312, this Python takes cp311-cp311"},
    ),
    "its own Python's wheel": ({"python": "3.12.1"}, ("0.1.0 cpu cp312",), None, "0.1.0 cpu cp312", {}),
    "free-threaded Python takes what has no ABI": (
        {"python": "3.13.1", "abi": "cp313t"},
        LINUX,
        None,
        "0.1.0 cpu x86",
        {},
    ),
    "requires-python": (
        {},
        ("0.2.0 cpu x86 >=3.12", "0.1.0 cpu x86"),
        None,
        "0.1.0 cpu x86",
        {"0.2.0 cpu x86": "needs Python >=3.12, found 3.11.7"},
    ),
    "torch too old for compiled": (
        {"torch": "2.9.1+cpu"},
        LINUX,
        None,
        None,
        {"0.1.0 cpu x86": "needs torch >= 2.10, found 2.9.1+cpu", "0.1.0 python any": COMPILED_EXISTS},
    ),
    "torch too old even for pure Python": (
        {"torch": "2.5.1+cpu"},
        LINUX,
        "python",
        None,
        {"0.1.0 python any": "needs torch >= 2.6, found 2.5.1+cpu"},
    ),
    "torch 2.10 is not 2.1": ({"torch": "2.10.0+cpu"}, LINUX, None, "0.1.0 cpu x86", {}),
    "a nightly counts as its release": ({"torch": "2.14.0.dev20260101+cpu"}, LINUX, None, "0.1.0 cpu x86", {}),
    "torch too new for a capped build": (
        {},
        ("0.1.0 capped x86",),
        None,
        None,
        {"0.1.0 capped x86": "works up to torch 2.12, found 2.13.0+cpu"},
    ),
    "the cap includes its patch releases": (
        {"torch": "2.12.4+cpu"},
        ("0.1.0 capped x86",),
        None,
        "0.1.0 capped x86",
        {},
    ),
    "no torch": ({"torch": None}, LINUX, None, None, {"0.1.0 cpu x86": "torch is not installed"}),
    "cu130 torch takes cu13": (
        {"torch": "2.13.0+cu130", "driver": "580.65.06", "gpus": ("9.0",)},
        CUDA,
        None,
        "0.1.0 cu13 x86",
        {
            "0.1.0 cpu x86": "no CUDA code, torch is a CUDA 13.0 build and this machine has a GPU driver",
        },
    ),
    "cu126 torch takes cu12": (
        {"torch": "2.13.0+cu126", "driver": "550.54", "gpus": ("8.0",)},
        CUDA,
        None,
        "0.1.0 cu12 x86",
        {"0.1.0 cu13 x86": "needs NVIDIA driver >= 580, found 550.54"},
    ),
    "driver too old": (
        {"torch": "2.13.0+cu130", "driver": "550.54"},
        ONLY_CUDA,
        None,
        None,
        {"0.1.0 cu13 x86": "needs NVIDIA driver >= 580, found 550.54", "0.1.0 python any": COMPILED_EXISTS},
    ),
    "driver exactly at the floor": (
        {"torch": "2.13.0+cu126", "driver": "525.60.13", "gpus": ("7.0",)},
        CUDA,
        None,
        "0.1.0 cu12 x86",
        {},
    ),
    "machine code of the same major covers a later minor": (
        {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("8.9",)},
        ONLY_CUDA,
        None,
        "0.1.0 cu13 x86",
        {},
    ),
    "an A100 is not covered by code for 8.6": (
        {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("8.0",)},
        ONLY_CUDA,
        None,
        None,
        {"0.1.0 cu13 x86": "no code for compute capability 8.0 (GPU); it has 7.5, 8.6, 9.0, 12.0"},
    ),
    "PTX covers every later GPU": (
        {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("12.0",)},
        ("0.1.0 cu13ptx x86",),
        None,
        "0.1.0 cu13ptx x86",
        {},
    ),
    "PTX covers no earlier GPU": (
        {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("7.5",)},
        ("0.1.0 cu13ptx x86",),
        None,
        None,
        {"0.1.0 cu13ptx x86": "no code for compute capability 7.5 (GPU); it has 8.0, PTX 8.0"},
    ),
    "every GPU of a mixed machine counts": (
        {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("9.0", "7.0")},
        ONLY_CUDA,
        None,
        None,
        {"0.1.0 cu13 x86": "no code for compute capability 7.0 (GPU); it has 7.5, 8.6, 9.0, 12.0"},
    ),
    "login node: cuda torch without a driver takes cuda": (
        {"torch": "2.13.0+cu130"},
        CUDA,
        None,
        "0.1.0 cu13 x86",
        {},
    ),
    "cuda torch without a driver is content with cpu": ({"torch": "2.13.0+cu130"}, LINUX, None, "0.1.0 cpu x86", {}),
    "cuda torch with a driver is not": (
        {"torch": "2.13.0+cu130", "driver": "580.65"},
        LINUX,
        None,
        None,
        {"0.1.0 cpu x86": "no CUDA code, torch is a CUDA 13.0 build and this machine has a GPU driver"},
    ),
    "unless it was asked for": (
        {"torch": "2.13.0+cu130", "driver": "580.65"},
        LINUX,
        "cpu",
        "0.1.0 cpu x86",
        {"0.1.0 python any": "`--variant cpu` was asked for"},
    ),
    "cpu torch beside a driver takes cpu": ({"driver": "550.54"}, CUDA, None, "0.1.0 cpu x86", {}),
    "cpu torch loads a cuda build where no cpu build is": ({}, ONLY_CUDA, None, "0.1.0 cu13 x86", {}),
    "rocm torch takes no other code": (
        {"torch": "2.13.0+rocm6.4", "driver": "rocm"},
        CUDA,
        None,
        None,
        {"0.1.0 cpu x86": "no ROCm code, torch is built for ROCm (2.13.0+rocm6.4)"},
    ),
    "rocm torch takes rocm": (
        {"torch": "2.13.0+rocm6.4", "driver": "rocm"},
        (*LINUX, "0.1.0 rocm x86"),
        None,
        "0.1.0 rocm x86",
        {},
    ),
    "a project without builds ignores torch": ({"torch": None}, ("0.1.0 plain any",), None, "0.1.0 plain any", {}),
    "an unknown variant fits nothing": (
        {},
        LINUX,
        "cu11",
        None,
        {"0.1.0 cpu x86": "`--variant cu11` was asked for"},
    ),
    "no candidates at all": ({}, (), None, None, {}),
    "a label is no newer version: torch's backend decides": (
        {},
        ("0.1.0+cpu cpu x86", "0.1.0+cu12 cu12 x86", "0.1.0+cu13 cu13 x86", "0.1.0 cu13 x86", "0.1.0 python any"),
        None,
        "0.1.0+cpu cpu x86",
        {},
    ),
    "a label is no newer version: compiled before pure Python": (
        {},
        ("0.1.0+python python any", "0.1.0 cpu x86"),
        None,
        "0.1.0 cpu x86",
        {"0.1.0+python python any": COMPILED_EXISTS},
    ),
    "the labelled one of twins": (
        {"torch": "2.13.0+cu130", "driver": "580.65"},
        ("0.1.0 cu13 x86", "0.1.0+cu13 cu13 x86", "0.1.0+cpu cpu x86"),
        None,
        "0.1.0+cu13 cu13 x86",
        {},
    ),
    "a greater version beats any label": (
        {},
        ("0.1.0+cpu cpu x86", "0.2.0 cu13 x86"),
        None,
        "0.2.0 cu13 x86",
        {},
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name, env, file):
    facts, texts, variant, expected, reasons = TABLE[name]
    files = {file(text): text.replace(" yanked", "").replace(" >=3.12", "") for text in texts}
    selection = choose(env(**facts), files, variant)
    assert (files[selection.chosen] if selection.chosen else None) == expected
    assert len(selection.decisions) == len(files)
    said = {files[each.file]: each.reason for each in selection.rejected}
    assert {text: said.get(text) for text in reasons} == reasons
    chosen = [each.file for each in selection.decisions if isinstance(each, Accepted) and each.is_chosen]
    assert chosen == ([selection.chosen] if selection.chosen else [])


# name: (torch, candidate, does it fit, does it warn); the index was verified with torch 2.13.0
NEWER = {
    "the newest verified": ("2.13.0+cpu", "0.1.0 cpu x86", True, False),
    "an older one": ("2.11.0+cpu", "0.1.0 cpu x86", True, False),
    "a pre-release of the newest verified": ("2.13.0a0+git1234", "0.1.0 cpu x86", True, False),
    "a later patch release": ("2.13.1+cpu", "0.1.0 cpu x86", True, True),
    "the next release": ("2.14.0+cpu", "0.1.0 cpu x86", True, True),
    "a far later release": ("2.16.0+cpu", "0.1.0 cpu x86", True, True),
    "a pre-release of a later one": ("2.16.0a0+git1234", "0.1.0 cpu x86", True, True),
    "a nightly of a later one": ("2.16.0.dev20270101+cpu", "0.1.0 cpu x86", True, True),
    "a release candidate of a later one": ("2.16.0rc2", "0.1.0 cpu x86", True, True),
    "a later major": ("3.0.0+cpu", "0.1.0 cpu x86", True, True),
    "the pure build too": ("2.16.0+cpu", "0.1.0 python any", True, True),
    "what has no build has nothing verified": ("2.16.0+cpu", "0.1.0 plain any", True, False),
    "a cap still rejects": ("2.16.0+cpu", "0.1.0 capped x86", False, False),
    "a cap rejects a pre-release too": ("2.16.0a0+git1234", "0.1.0 capped x86", False, False),
    "a version that is none": ("main-1234", "0.1.0 plain any", True, False),
}


@pytest.mark.parametrize("name", NEWER)
def test_a_torch_newer_than_every_verified_one_is_accepted_with_a_warning(name, env, file):
    torch, text, fits, warns = NEWER[name]
    selection = choose(env(torch=torch), [file(text)], verified="2.13.0")
    assert (selection.chosen is not None) == fits
    warning = f"torch {torch} is newer than 2.13.0, the newest that the index was verified with"
    assert selection.warning == (warning if warns else None)


def test_without_a_verified_torch_nothing_is_newer(env, file):
    assert choose(env(torch="9.0.0"), [file("0.1.0 cpu x86")]).warning is None


def test_a_refusal_names_a_build_once_that_stands_in_the_index_twice(env, file):
    there = env(torch="2.9.0+cu130", driver="580.65")
    selection = choose(there, [file("0.3.0 cu13 x86"), file("0.3.0+cu13 cu13 x86")])
    error = refusal(there, "mimctl-ops", selection, wanted="det")
    assert error.message == "no build of `mimctl-ops` 0.3.0 fits this environment"
    assert error.causes[1:] == ("  0.3.0+cu13   rejected: needs torch >= 2.10, found 2.9.0+cu130",)


def test_order_of_candidates_changes_nothing(env, file):
    files = [file(text) for text in (*CUDA, "0.2.0 cpu x86", "0.0.1 python any")]
    there = env(torch="2.13.0+cu130", driver="580.1", gpus=("9.0",))
    assert choose(there, files) == choose(there, reversed(files))


def test_refusal_names_facts_reasons_and_the_command(env, file):
    there = env(torch="2.9.1+cu128", driver="550.54", gpus=("8.0",), python="3.12.1")
    selection = choose(there, [file(text) for text in ("0.3.0 cu13 x86", "0.3.0 cu12 x86", "0.3.0 python any")])
    assert selection.chosen is None
    error = refusal(there, "mimctl-ops", selection, wanted="det")
    assert error.exit_code == 3
    assert render(error) == (
        "error[no-compatible-wheel]: no build of `mimctl-ops` 0.3.0 fits this environment\n"
        "  cause: torch 2.9.1+cu128, driver 550.54 (compute capability 8.0), python 3.12.1, linux x86_64, glibc 2.36\n"
        "           0.3.0+cu13     rejected: needs torch >= 2.10, found 2.9.1+cu128\n"
        "           0.3.0+cu12     rejected: needs torch >= 2.10, found 2.9.1+cu128\n"
        f"           0.3.0+python   rejected: {COMPILED_EXISTS}\n"
        "\n"
        "hint: use the pure-PyTorch ops: `mimctl install det --variant python`\n"
        "hint: or install a torch that the builds above work with, then repeat the command\n"
        "hint: read more: `mimctl explain no-compatible-wheel`"
    )


def test_refusal_offers_what_could_be_asked_for(env, file):
    there = env(torch="2.13.0+cu130", driver="580.65")
    error = refusal(there, "mimctl-ops", choose(there, [file(text) for text in LINUX]), wanted="det")
    assert error.hints == (
        "use the pure-PyTorch ops: `mimctl install det --variant python`",
        "or take compiled ones that compute on the CPU only: `mimctl install det --variant cpu`",
    )


def test_refusal_offers_pure_python_only_where_it_would_fit(env, file):
    there = env(torch="2.5.0+cpu")
    selection = choose(there, [file(text) for text in LINUX])
    assert not [hint for hint in refusal(there, "mimctl-ops", selection, wanted="det").hints if "python" in hint]
