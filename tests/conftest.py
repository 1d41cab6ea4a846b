"""What every test folder may use."""

from outside_data import test_data, test_reference

__all__ = ["test_data", "test_reference"]
