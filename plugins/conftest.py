"""What the tests of every plugin may use."""

from examples import use_profile
from outside_data import test_data, test_reference

__all__ = ["test_data", "test_reference"]

use_profile()
