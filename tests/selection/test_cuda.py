"""What runs on which GPU and driver, by NVIDIA's rules."""

from __future__ import annotations

import pytest
from made_environment import make_env

from mimctl.index.model import Build
from mimctl.selection.cuda import driver_floor, has_machine_code, has_ptx, is_at_least, ptx_driver, relevant_gpus


@pytest.mark.parametrize(
    ("archs", "capability", "runs"),
    [
        (("8.0",), (8, 0), True),
        (("8.0",), (8, 6), True),
        (("8.6",), (8, 0), False),
        (("8.0",), (9, 0), False),
        (("9.0a",), (9, 0), True),
        (("10.0a",), (10, 3), False),
        (("10.0f",), (10, 3), True),
        (("8.6",), (8, 7), False),
        (("8.7",), (8, 7), True),
        (("8.7",), (8, 9), False),
        ((), (8, 0), False),
    ],
)
def test_machine_code(archs, capability, runs):
    assert has_machine_code(Build(backend="cu13", archs=archs), capability) == runs


@pytest.mark.parametrize(
    ("ptx", "capability", "compiles"),
    [
        (("9.0",), (9, 0), True),
        (("9.0",), (12, 0), True),
        (("9.0",), (8, 9), False),
        (("9.0a",), (9, 0), True),
        (("9.0a",), (12, 0), False),
        (("8.0",), (8, 7), True),
        ((), (9, 0), False),
    ],
)
def test_ptx(ptx, capability, compiles):
    assert has_ptx(Build(backend="cu13", ptx=ptx), capability) == compiles


@pytest.mark.parametrize(
    ("backend", "toolkit", "driver"),
    [
        ("cu12", "12.6", "560.28.03"),
        ("cu12", "12.6.77", "560.28.03"),
        ("cu12", "12.7", "560.28.03"),
        ("cu12", "12.0", "525.60.13"),
        ("cu13", "13.0", "580.65.06"),
        ("cu13", "14.2", "590.44.01"),
        ("cu12", None, "525.60.13"),
        ("cu11", "11.8", None),
    ],
)
def test_the_driver_that_compiles_ptx_is_as_new_as_its_toolkit(backend, toolkit, driver):
    assert ptx_driver(Build(backend=backend, toolkit=toolkit)) == driver


@pytest.mark.parametrize(
    ("build", "floor"),
    [
        (Build(backend="cu13", min_driver="590"), "590"),
        (Build(backend="cu13"), "580"),
        (Build(backend="cu12"), "525.60.13"),
        (Build(backend="cpu"), None),
    ],
)
def test_the_floor_of_a_build_that_does_not_say_is_its_majors(build, floor):
    assert driver_floor(build) == floor


@pytest.mark.parametrize(
    ("driver", "floor", "enough"),
    [
        ("580.65.06", "580", True),
        ("580", "580", True),
        ("525.60.13", "525.60.13", True),
        ("525.60.11", "525.60.13", False),
    ],
)
def test_drivers_are_compared_as_numbers(driver, floor, enough):
    assert is_at_least(driver, floor) == enough


def test_hidden_gpus_and_those_nobody_knows_do_not_count():
    assert [gpu.capability for gpu in relevant_gpus(make_env(gpus=("9.0", "7.0 hidden", "")))] == ["9.0"]
    assert [gpu.capability for gpu in relevant_gpus(make_env(gpus=("7.0 hidden",)))] == ["7.0"]
    assert relevant_gpus(make_env(driver="rocm", gpus=("gfx942",))) == ()
