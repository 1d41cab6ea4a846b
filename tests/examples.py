"""What tests draw at random: how hypothesis draws its examples, and where other random numbers begin."""

from __future__ import annotations

import os
import random
import sys

import pytest
from hypothesis import HealthCheck, settings


def use_profile() -> None:
    """Measure no example in time, as a machine may be busy; draw the same ones each time where a change is judged.

    At a desk new ones are drawn. A test that suppresses another health check names `too_slow`, too.
    """
    settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("judge", settings.get_profile("desk"), derandomize=True)
    settings.load_profile("judge" if os.environ.get("CI") else "desk")


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Let each test draw the same random numbers, whichever tests were run before it."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
