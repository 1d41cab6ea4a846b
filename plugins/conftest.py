"""What the tests of every plugin may use."""

from examples import same_numbers, use_profile
from outside_data import test_data, test_reference

__all__ = ["same_numbers", "test_data", "test_reference"]

use_profile()
